"""Adapters: what a framework's environments do, told to the recorder.

One module for each framework, and the only place that imports it.
"""
