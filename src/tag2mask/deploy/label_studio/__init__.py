"""A machine learning backend for Label Studio: predictions, and training from what people submit.

The HTTP interface is that of https://github.com/HumanSignal/label-studio-ml-backend, on FastAPI. The package
`label-studio-ml` itself is not used: it pins releases of its libraries that have no wheels for current Pythons.
"""
