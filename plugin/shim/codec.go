package shim

import (
	"bytes"
	"fmt"
	"log/slog"
	"time"

	"github.com/pacewire/pacewire/plugin"
	"github.com/pacewire/pacewire/telemetry"
)

// A Format is how points are written on lines.
type Format string

// The formats.
const (
	JSON  Format = "json"  // a point object a line
	Lines Format = "lines" // line protocol
)

// ParseFormat returns the format of a name; "" is none.
func ParseFormat(name string) (Format, error) {
	switch f := Format(name); f {
	case "", JSON, Lines:
		return f, nil
	}
	return "", fmt.Errorf("format %q: want json (a point object a line) or lines (line protocol)", name)
}

// example is a line of the format.
func (f Format) example() string {
	if f == JSON {
		return `{"series":"load","tags":{"cpu":"0"},"fields":{"v":1.5}}`
	}
	return "load,cpu=0 v=1.5"
}

// A codec writes points for a program and reads those that it prints.
type codec struct {
	format Format // "": what is read tells by its first letter
	lines  telemetry.LineDecoder
	told   teller
}

func newCodec(f Format, kind plugin.Kind, log *slog.Logger) *codec {
	if f == "" && kind != plugin.Collector {
		f = JSON
	}
	return &codec{format: f, told: teller{log: log}}
}

// encode appends the points of b to dst, each on a line of its own.
func (c *codec) encode(dst []byte, b *telemetry.Batch) []byte {
	if c.format == JSON {
		return b.AppendPoints(dst)
	}
	return b.AppendFlatLines(dst)
}

var newline = []byte{'\n'}

// answer is decode of an answer. One of which nothing can be read is none: what it was made of would be gone.
func (c *codec) answer(out *telemetry.Batch, text []byte, at time.Time) error {
	c.decode(out, text, 1, at)
	if out.Len() == 0 && out.Drops().Total() > 0 {
		return fmt.Errorf("no line that the program prints is a point, such as %s: %q", c.form(text).example(), cut(string(text), toldBytes))
	}
	return nil
}

// decode makes out, which is empty, the points of text, which is whole lines. Those that have no time get at. A line that cannot be
// read is counted and told by its number, first for the first one; the rest stands.
func (c *codec) decode(out *telemetry.Batch, text []byte, first int, at time.Time) {
	if len(text) == 0 || c.read(out, text, at) == nil && out.Drops().Total() == 0 {
		return
	}
	out.Reset()
	c.parts(out, text, first, at)
}

// parts reads text part by part, and the parts in which something is wrong again so, until what is wrong is told of one line alone.
func (c *codec) parts(out *telemetry.Batch, text []byte, line int, at time.Time) {
	const many = 16
	size := len(text) / many
	if end := bytes.IndexByte(text, '\n') + 1; end == 0 || end == len(text) {
		c.one(out, text, line, at)
		return
	}
	for len(text) > 0 {
		part := text[:wholeLines(text, size)]
		text = text[len(part):]
		var b telemetry.Batch
		if c.read(&b, part, at) == nil && b.Drops().Total() == 0 {
			takeAll(out, &b)
		} else {
			c.parts(out, part, line, at)
		}
		line += bytes.Count(part, newline)
	}
}

// wholeLines is the length of the lines within the first so many bytes of text, of the first one if that is longer.
func wholeLines(text []byte, size int) int {
	if n := bytes.LastIndexByte(text[:min(size, len(text))], '\n') + 1; n > 0 {
		return n
	}
	if n := bytes.IndexByte(text, '\n') + 1; n > 0 {
		return n
	}
	return len(text)
}

// one reads a line in which something is wrong, and takes what there is.
func (c *codec) one(out *telemetry.Batch, text []byte, line int, at time.Time) {
	var b telemetry.Batch
	err := c.read(&b, text, at)
	if err != nil && b.Drops().Total() == 0 { // nothing of it was read
		out.Drops()[codeOf(err)]++
	}
	b.Drops().Each(func(code telemetry.Code, n int) {
		out.Drops()[code] += n
		if err == nil {
			err = code
		}
	})
	if err != nil { // it is blank otherwise
		c.told.bad(line, text, c.form(text), err)
	}
	takeAll(out, &b)
}

// read makes b, which is empty, the points of text.
func (c *codec) read(b *telemetry.Batch, text []byte, at time.Time) error {
	if c.form(text) == Lines {
		return c.lines.Decode(b, text, at)
	}
	if len(bytes.TrimSpace(text)) == 0 {
		return nil
	}
	return b.DecodeJSON(text, at)
}

// form is the format of a text: a collector's is told by its first letter.
func (c *codec) form(text []byte) Format {
	if c.format != "" {
		return c.format
	}
	if head := bytes.TrimLeft(text, " \t\r\n"); len(head) > 0 && (head[0] == '{' || head[0] == '[') {
		return JSON
	}
	return Lines
}

func takeAll(out, b *telemetry.Batch) {
	for g := range b.Groups() {
		out.Take(g)
	}
}
