"""HTTP interface of the studio: one module a part, each with `router(studio)`; `app.create_app` joins them."""
