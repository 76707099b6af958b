"""Scans as pictures: bands of a range image one below another (PNG), and a page in which a cloud can be turned."""
