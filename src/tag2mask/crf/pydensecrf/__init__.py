"""Drop-in replacement for the package pydensecrf: modules, names, argument order and memory layouts are the same.

Put `tag2mask.crf.` in front of the package name:

    import tag2mask.crf.pydensecrf.densecrf as dcrf
    from tag2mask.crf.pydensecrf.utils import unary_from_softmax
"""
