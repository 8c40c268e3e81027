"""One live page of the whole network. From look to page: contents, pictures, sections, board, http."""
