"""The vocabulary both packages share: reports, their statuses, and their two formats.

Pure: nothing in here reads a clock, a file or a socket. The two formats have functions of the same
names, so they are used by module (`json_format.decode_body`, `xml_format.decode_body`) or, by the
format's name, out of `formats.CODECS`.
"""
