package telemetry

import (
	"bytes"
	"errors"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"
)

// A LineDecoder reads line protocol into batches. It remembers what the lines of its source look like and expects the next
// one to be like the one that came after its predecessor the last time: keep one for each source. The zero value is ready.
//
// A line is refused as a whole when it cannot be read, when a name or a tag is not what a batch may hold, when a tag has
// no value, and when a tag or a field comes twice. A field whose value a batch cannot hold (NaN and infinities, integers
// that do not fit, text longer than MaxText) is left out and counted by its own code.
type LineDecoder struct {
	Precision time.Duration // the tick of the times: ns, us, ms or s; 0: ns

	sets   map[string]*lineSet   // by series and tag keys
	tables map[string]*lineTable // by series, tag keys and fields
	bodies map[string]*lineBody  // by set, and the fields as they came
	shapes map[string]*lineShape // by head
	last   *lineShape
	size   int // bytes that all this takes, about

	batch   *Batch
	text    []byte
	part    bool  // a last line with open quotes is left
	left    int   // bytes of that line
	safe    int   // lines that begin up to here can be read eight bytes at a time
	unit    int64 // ns
	arrival int64 // ns
	inUse   []*lineTable
	scan    lineScan
	texts   []lineText
	key     []byte
	errs    []error
}

// A lineShape is what a line looks like up to its values: one series with its tags, and the fields it has.
type lineShape struct {
	head  string   // series and tags, up to and with the space after them
	ids   []uint32 // the numbers of the tags' values, in the order of the set's keys
	body  *lineBody
	other *lineShape // the same head with another body
	next  *lineShape // what came after it the last time
}

// A lineBody is the fields of a line, in the order they have there.
type lineBody struct {
	table *lineTable
	keys  []lineKey
}

// A lineKey is what stands before the value of a field: its name and =, and a comma before it unless it is the first.
type lineKey struct {
	text     string
	n        int    // its length
	lo, hi   uint64 // the first 16 bytes of it
	loM, hiM uint64 // which of them there are
	typ      Type
	col      int
}

const (
	maxLineMemory = 8 << 20 // bytes a LineDecoder remembers before it starts from nothing again
	maxHead       = 1 << 10 // bytes of series and tags that are worth remembering
	maxOthers     = 16      // bodies of one head that are tried
	maxLineErrors = 5
)

// Decode adds the points of text to b. text is whole lines, the last one may lack its newline; string fields of b look into
// it. arrival is the time of lines that have none. A line that cannot be read is left out and counted, and the rest goes
// on: the error joins a [DecodeError] for each of the first few.
func (d *LineDecoder) Decode(b *Batch, text []byte, arrival time.Time) error {
	_, err := d.decode(b, text, arrival, false)
	return err
}

// DecodePart is Decode of a text that goes on behind its end: if the quotes of its last line are still open there, that
// line is left, since a text may have newlines in it. n is how much was read.
func (d *LineDecoder) DecodePart(b *Batch, text []byte, arrival time.Time) (n int, err error) {
	return d.decode(b, text, arrival, true)
}

func (d *LineDecoder) decode(b *Batch, text []byte, arrival time.Time, part bool) (n int, err error) {
	d.begin(b, text, arrival)
	d.part, d.left = part, 0
	at := 0
	if bytes.HasPrefix(text, []byte("\uFEFF")) {
		at = 3
	}
	for at < len(text) {
		if next := d.expected(at); next >= 0 {
			at = next
			continue
		}
		at = d.unexpected(at)
	}
	return len(text) - d.left, d.end()
}

func (d *LineDecoder) begin(b *Batch, text []byte, arrival time.Time) {
	d.batch, d.text, d.errs = b, text, nil
	d.unit = max(1, int64(d.Precision))
	d.arrival = arrival.Truncate(time.Microsecond).UnixNano()
	if arrival.IsZero() {
		d.arrival = b.now()
	}
	d.safe = -1
	if n := len(text) - 8; n >= 0 {
		d.safe = bytes.LastIndexByte(text[:n+1], '\n')
	}
	d.scan.text, d.scan.home = text, b
	if d.size > maxLineMemory {
		d.forget()
	}
}

func (d *LineDecoder) end() error {
	d.release()
	d.batch, d.text = nil, nil
	d.scan.text, d.scan.home = nil, nil
	clear(d.texts[:cap(d.texts)])
	return errors.Join(d.errs...)
}

// release closes the tables in use.
func (d *LineDecoder) release() {
	for _, t := range d.inUse {
		t.close()
	}
	clear(d.inUse) // lets those go that are forgotten
	d.inUse = d.inUse[:0]
}

// forget drops all that was learned, so that a source of ever new tags does not fill the memory.
func (d *LineDecoder) forget() {
	d.release()
	clear(d.sets)
	clear(d.tables)
	clear(d.bodies)
	clear(d.shapes)
	d.last, d.size = nil, 0
}

// expected reads the line at at if it is like the one that followed the line before the last time, and returns where the
// next one begins; -1 if it is not.
func (d *LineDecoder) expected(at int) int {
	if d.last == nil || at > d.safe {
		return -1
	}
	shape := d.last.next
	if shape == nil || !hasPrefix(d.text[at:], shape.head) {
		return -1
	}
	next := d.fields(shape, at+len(shape.head))
	if next >= 0 {
		d.last = shape
	}
	return next
}

func hasPrefix(text []byte, head string) bool {
	return len(text) >= len(head) && string(text[:len(head)]) == head
}

// unexpected reads the line at at, which may be anything, and returns where the next one begins.
func (d *LineDecoder) unexpected(at int) int {
	if at <= d.safe {
		for s := d.shapes[string(d.headAt(at))]; s != nil; s = s.other {
			if next := d.fields(s, at+len(s.head)); next >= 0 {
				d.follow(s)
				return next
			}
		}
	}
	d.scan.at = at
	if !d.scan.skipBlanks() {
		return d.scan.at
	}
	at = d.scan.at
	d.scan.line(d.unit)
	if d.part && d.scan.open {
		d.left = len(d.text) - at
		return len(d.text)
	}
	if d.scan.code != 0 {
		d.refuse(at)
		return d.scan.at
	}
	d.add(at)
	return d.scan.at
}

// headAt returns the series and the tags of the line at at with the space after them, as far as they are worth
// remembering.
func (d *LineDecoder) headAt(at int) []byte {
	text := d.text[at:min(len(d.text), at+maxHead)]
	for from := 0; ; {
		n := bytes.IndexByte(text[from:], ' ')
		if n < 0 {
			return nil
		}
		from += n + 1
		if n == 0 || text[from-2] != '\\' {
			return text[:from]
		}
	}
}

// follow notes that s came after the last line.
func (d *LineDecoder) follow(s *lineShape) {
	if d.last != nil {
		d.last.next = s
	}
	d.last = s
}

// fields reads the fields and the time of a line of shape s, from the first field's name on, and adds the point. It
// returns where the next line begins, -1 when the line is not of this shape after all.
func (d *LineDecoder) fields(s *lineShape, at int) int {
	t := s.body.table
	if !t.open && !d.use(t) {
		return -1
	}
	if t.rows == t.room {
		t.grow()
	}
	d.texts = d.texts[:0]
	text, keys := d.text, s.body.keys
	for i := range keys {
		key := &keys[i]
		if (word(text, at)^key.lo)&key.loM != 0 || key.n > 8 && !key.rest(text, at) {
			return -1
		}
		at += key.n
		var v uint64
		switch key.typ {
		case TypeFloat:
			v, at = parseFloat(text, at)
		case TypeInt:
			v, at = parseInt(text, at)
		case TypeUint:
			v, at = parseUint(text, at)
		case TypeBool:
			v, at = parseBool(text, at)
		default:
			at = d.quoted(key, at)
		}
		if at < 0 {
			return -1
		}
		t.cols[key.col].put(t.rows, v)
	}
	stamp, at := d.time(at)
	if at < 0 {
		return -1
	}
	t.row(stamp, s.ids, d.texts)
	return at
}

// use opens t for the batch, and reports whether there is room for it.
func (d *LineDecoder) use(t *lineTable) bool {
	if !t.use(d.batch) {
		return false
	}
	d.inUse = append(d.inUse, t)
	return true
}

// rest reports whether the text from at is k behind the first eight bytes.
func (k *lineKey) rest(text []byte, at int) bool {
	return (word(text, at+8)^k.hi)&k.hiM == 0 && (k.n <= 16 || hasPrefix(text[at:], k.text))
}

// quoted reads a text in quotes that has no escapes in it.
func (d *LineDecoder) quoted(key *lineKey, at int) (next int) {
	if d.text[at] != '"' {
		return -1
	}
	from := at + 1
	var all byte
	for at = from; ; at++ {
		if at > d.safe {
			return -1
		}
		c := d.text[at]
		if c == '"' {
			break
		}
		if c == '\\' || c == '\n' {
			return -1
		}
		all |= c
	}
	text := view(d.text[from:at])
	if len(text) > MaxText || all >= utf8.RuneSelf && !utf8.ValidString(text) {
		return -1
	}
	d.texts = append(d.texts, lineText{key.col, String(text)})
	return at + 1
}

// time reads what follows the fields: the time, and the end of the line.
func (d *LineDecoder) time(at int) (ns int64, next int) {
	text := d.text
	if text[at] != ' ' {
		return d.arrival, endOfLine(text, at)
	}
	at++
	from := at
	if text[at] == '-' {
		from++
	}
	v, next := parseDigits(text, from)
	ns = int64(v)
	if d.unit != 1 {
		ns *= d.unit
		if ns/d.unit != int64(v) {
			return 0, -1
		}
	}
	if next < 0 || ns < 0 {
		return 0, -1
	}
	if from != at {
		ns = -ns
	}
	return ns, endOfLine(text, next)
}

// endOfLine returns where the next line begins if a line ends at at, else -1.
func endOfLine(text []byte, at int) int {
	switch {
	case text[at] == '\n':
		return at + 1
	case text[at] == '\r' && text[at+1] == '\n':
		return at + 2
	}
	return -1
}

// refuse counts the line from at, which was scanned and found bad, and keeps the error if it is among the first.
func (d *LineDecoder) refuse(at int) {
	d.batch.drops.add(d.scan.code, 1)
	if len(d.errs) >= maxLineErrors {
		return
	}
	line := d.text[at:]
	if n := bytes.IndexByte(line, '\n'); n >= 0 {
		line = line[:n]
	}
	start, more := cut(strings.ToValidUTF8(string(line[:min(len(line), 100)]), "\uFFFD"), 60), ""
	if len(start) < len(line) {
		more = "..."
	}
	d.errs = append(d.errs, &DecodeError{
		Code:  d.scan.code,
		Line:  1 + bytes.Count(d.text[:at], []byte{'\n'}),
		Where: d.scan.why + " in " + strconv.Quote(start+more),
	})
}

// DecodeLines reads text as line protocol with times in ns, as [LineDecoder.Decode] does, into b, which is emptied before.
func (b *Batch) DecodeLines(text []byte, arrival time.Time) error {
	b.Reset()
	return b.lines.Decode(b, text, arrival)
}
