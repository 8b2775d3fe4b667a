package lines

import "bytes"

// A cutter finds the whole lines in the pieces of a text, and leaves out those that are too long.
type cutter struct {
	limit    int    // bytes of a line without its newline
	skipping bool   // what comes next belongs to a line that is too long
	long     int    // lines that were too long
	start    []byte // of the last one of them
}

// next returns the first stretch of whole lines in text, and what comes behind it. lines is empty when there are none: rest
// is then the begin of a line, for the next piece to begin with.
func (c *cutter) next(text []byte) (lines, rest []byte) {
	for {
		if c.skipping {
			n := bytes.IndexByte(text, '\n')
			if n < 0 {
				return nil, nil
			}
			c.skipping, text = false, text[n+1:]
		}
		end := c.whole(text)
		if end > 0 || len(text) <= c.limit {
			return text[:end], text[end:]
		}
		c.long++
		c.start = append(c.start[:0], text[:min(len(text), 60)]...)
		c.skipping = true
	}
}

// whole returns where the whole lines at the start of text end, up to the first one that is too long. It looks at few
// places only: at the last newline within the reach of the longest line from the last place.
func (c *cutter) whole(text []byte) (end int) {
	for {
		n := bytes.LastIndexByte(text[end:min(len(text), end+c.limit+1)], '\n')
		if n < 0 {
			return end
		}
		end += n + 1
	}
}
