"""Lets blocks in ordered lists be indented by three spaces, as on GitHub, instead of Markdown's original four."""

from markdown.blockprocessors import ListIndentProcessor, OListProcessor
from markdown.extensions import Extension


class Indent(Extension):
    def extendMarkdown(self, md):
        md.tab_length = 3
        for processor in md.parser.blockprocessors:
            processor.tab_length = 3
            if isinstance(processor, (ListIndentProcessor, OListProcessor)):
                processor.__init__(md.parser)  # compiles its expressions again


makeExtension = Indent
