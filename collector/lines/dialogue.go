package lines

import (
	"bytes"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/internal/decode"
	"github.com/pacewire/pacewire/internal/decode/report"
)

const (
	answerTime = time.Second // how long an answer waits for who does not read it
	muchAnswer = 16 << 10    // bytes of answers that wait for others at most
)

// A dialogue answers lines: each of them, as collectd does at its socket, or questions alone. A nil one says nothing.
type dialogue struct {
	conn net.Conn
	each bool
	text []byte // answers that are to be sent
	deaf func() // tells that nobody reads them
}

// answerTo has the lines of c answered, if that is the custom of their format.
func (s *stream) answerTo(c net.Conn) {
	format := decode.Canonical(s.l.cfg.Format)
	if format != collectd && format != opentsdb {
		return
	}
	s.other.dialogue = &dialogue{conn: c, each: format == collectd, deaf: func() {
		if more, ok := s.l.reports.answers.Pass(); ok {
			s.l.log.Warn("answers are not read: no more are sent there, and lines are taken all the same", "from", s.from, "unreported", more)
		}
	}}
}

// answers reports whether somebody waits for answers.
func (in *intake) answers() bool { return in.other != nil && in.other.dialogue != nil }

// asks answers a line that is a question: senders of OpenTSDB ask for the version, and go away when nobody answers.
func (d *dialogue) asks(line []byte) bool {
	if d == nil || d.each || string(bytes.TrimSpace(line)) != "version" {
		return false
	}
	d.say("pacewire takes put")
	return true
}

// answer says what has become of a line. One that says nothing has no answer.
func (d *dialogue) answer(line []byte, got report.Report) {
	words := bytes.Fields(line)
	if d == nil || !d.each || len(words) == 0 || words[0][0] == '#' {
		return
	}
	switch {
	case got.First != nil:
		d.say("-1 %s", said(got.First))
	case bytes.EqualFold(words[0], []byte("PUTVAL")):
		d.say("0 Success: %s been dispatched.", amount.Of(got.Points, "value has", "values have"))
	default:
		d.say("0 Success")
	}
}

// refuse answers n lines that could not even be read.
func (d *dialogue) refuse(n int, err error) {
	if d == nil || !d.each {
		return
	}
	for range n {
		d.say("-1 %v", err)
	}
}

// say adds an answer, which is one line.
func (d *dialogue) say(format string, args ...any) {
	text := strings.ReplaceAll(fmt.Sprintf(format, args...), "\n", " ")
	d.text = append(append(d.text, text...), '\n')
	if len(d.text) >= muchAnswer {
		d.send()
	}
}

// send sends the answers. Who does not read them gets no more: half of one was sent perhaps, and who sends shall not wait for ever.
func (d *dialogue) send() {
	if d == nil || len(d.text) == 0 {
		return
	}
	text := d.text
	d.text = d.text[:0]
	if d.conn == nil {
		return
	}
	_ = d.conn.SetWriteDeadline(time.Now().Add(answerTime)) // a connection that is closed tells so when it is written to
	if _, err := d.conn.Write(text); err != nil {
		d.conn = nil
		if errors.Is(err, os.ErrDeadlineExceeded) {
			d.deaf()
		}
	}
}
