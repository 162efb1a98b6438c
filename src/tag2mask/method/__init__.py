"""The method after the network, as pure NumPy functions: the paper, and what goes beyond it.

One image at a time. A backend runs the network and gives a `NetworkOutput`; everything that turns it into a mask is
here, once, for training's pseudo masks and for prediction on torch, ONNX Runtime, HTTP and Ray alike:

- `class_maps`, `foreground_prior`, `class_scores`: class-specific scores from a network's output and the tags;
- `gate`: probabilities of the classes that the tags, or the tag classifier, allow;
- `evidence`: the output at several scales and its horizontal flip, combined;
- `refine`: the dense CRF and the arg max;
- `pseudo_masks`: the training targets of the segmentation head;
- `tiling`: images too large for one pass of the network, or for one CRF;
- `uncertainty`: how uncertain a mask is.
"""
