package telemetry

import "slices"

// maxJoint is the number of combinations of tags that are worth a table.
const maxJoint = 4096

// joinTags makes one cell of dictionaries that follow each other: of the combinations they could have few occur, and these
// again and again. The text of each is made when it does.
func (w *lineWriter) joinTags() {
	cells := w.cells
	w.cells = w.cells[:0]
	for len(cells) > 0 {
		n, combinations := w.joinable(cells)
		if n < 2 {
			w.cells = append(w.cells, cells[0])
			cells = cells[1:]
			continue
		}
		w.cells = append(w.cells, w.joinCells(cells[:n], combinations))
		cells = cells[n:]
	}
}

// joinable returns how many of the first cells can be joined, and in how many combinations.
func (w *lineWriter) joinable(cells []lineCell) (n, combinations int) {
	most := min(maxJoint, 16*w.group.n)
	combinations = 1
	for n < len(cells) && cells[n].kind == cellDict && combinations*len(cells[n].spans) <= most {
		combinations *= len(cells[n].spans)
		n++
	}
	return n, combinations
}

// joinCells returns the cell that cells, which are dictionaries, make together.
func (w *lineWriter) joinCells(cells []lineCell, combinations int) lineCell {
	first, part, rows := len(w.joint), len(w.parts), w.group.n
	w.joint = slices.Grow(w.joint, rows)[:first+rows]
	joint := w.joint[first:]
	clear(joint)
	for i := range cells {
		c := &cells[i]
		size := uint16(len(c.spans))
		if c.width > 1 {
			for row := range joint {
				joint[row] = joint[row]*size + uint16(c.indexAt(row))
			}
			continue
		}
		for row, v := range c.index[:len(joint)] {
			joint[row] = joint[row]*size + uint16(v)
		}
	}
	w.parts = append(w.parts, cells...)
	table := len(w.spans)
	w.spans = slices.Grow(w.spans, combinations)[:table+combinations]
	clear(w.spans[table:])
	return lineCell{kind: cellJoint, joint: joint, parts: w.parts[part:], spans: w.spans[table:]}
}

// join makes the text of the combination that c has in row.
func (w *lineWriter) join(c *lineCell, row int) lineSpan {
	w.made = w.made[:len(w.made)-padding]
	from := len(w.made)
	for i := range c.parts {
		p := &c.parts[i]
		s := p.spans[p.indexAt(row)]
		w.made = append(w.made, w.made[s.from:s.to]...)
	}
	s := lineSpan{uint32(from), uint32(len(w.made))}
	c.spans[c.joint[row]] = s
	w.pad()
	return s
}

// padding is how much is behind the text that is made once, so that whole words can be taken from everywhere in it.
const padding = 16

func (w *lineWriter) pad() { w.made = append(w.made, new([padding]byte)[:]...) }
