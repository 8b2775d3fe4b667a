package plugin

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

const (
	inputPiece = 64 << 10             // bytes of text that make one delivery, if they come at once
	inputLine  = telemetry.MaxMessage // the longest line, and the longest JSON list
)

// A lineSource gives text, line protocol or points as JSON, as deliveries of whole lines: what has come, so that a slow
// writer's points do not wait for others. Lines that cannot be read are told and left out.
type lineSource struct {
	solo   *solo
	pieces chan piece // 1: one is read while another is worked on
	stop   context.CancelFunc
	line   int   // lines before the piece in hand
	end    error // why no more comes
	seq    uint64
}

// A piece is some whole lines of text, or why there are no more.
type piece struct {
	text []byte
	err  error
}

// readLines starts to read in. The reading itself ends with in: nothing else can end a call of Read.
func readLines(ctx context.Context, in io.Reader, s *solo) *lineSource {
	ctx, stop := context.WithCancel(ctx)
	l := &lineSource{solo: s, pieces: make(chan piece, 1), stop: stop}
	go l.cut(ctx, in)
	return l
}

// cut reads in and cuts it into pieces.
func (l *lineSource) cut(ctx context.Context, in io.Reader) {
	give := func(text []byte, err error) bool {
		select {
		case l.pieces <- piece{bytes.Clone(text), err}:
			return err == nil
		case <-ctx.Done():
			return false
		}
	}
	buf := make([]byte, 0, inputPiece)
	for {
		if len(buf) == cap(buf) {
			if len(buf) >= inputLine {
				give(nil, fmt.Errorf("a line or a JSON list is longer than %d bytes: want a point a line", inputLine))
				return
			}
			buf = append(make([]byte, 0, 2*cap(buf)), buf...)
		}
		n, err := in.Read(buf[len(buf):cap(buf)])
		buf = buf[:len(buf)+n]
		end := bytes.LastIndexByte(buf, '\n') + 1
		if err != nil {
			end = len(buf)
		}
		if end > 0 && (err != nil || !isList(buf)) {
			if !give(buf[:end], nil) {
				return
			}
			buf = buf[:copy(buf, buf[end:])]
		}
		if err != nil {
			give(nil, err)
			return
		}
	}
}

// isList reports whether text begins a JSON list, which can be read only when it is whole.
func isList(text []byte) bool {
	text = bytes.TrimLeft(text, " \t\r\n")
	return len(text) > 0 && text[0] == '['
}

func (l *lineSource) next(ctx context.Context) (*delivery, error) {
	for l.end == nil {
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case p := <-l.pieces:
			if l.end = p.err; p.err != nil {
				break
			}
			if d := l.delivery(p.text); d != nil {
				return d, nil
			}
		}
	}
	return nil, l.end
}

// delivery returns the points of text, nil when there are none.
func (l *lineSource) delivery(text []byte) *delivery {
	var b telemetry.Batch
	now := time.Now()
	err := b.Decode("", "", text, now)
	switch {
	case err != nil && isList(text):
		l.refused(l.line, err)
	case err != nil || b.Drops().Total() > 0:
		b.Reset()
		l.eachLine(&b, text, now)
	}
	l.line += bytes.Count(text, []byte("\n"))
	if b.Len() == 0 {
		return nil
	}
	l.seq++
	return &delivery{
		host: l.solo.o.Host, plugin: stdio, contentType: string(telemetry.ContentMsgPack), body: b.AppendMsgPack(nil),
		stored: now, seq: l.seq, deliveries: 1, settler: l,
	}
}

// eachLine adds the points of the lines that can be read, and tells of the others.
func (l *lineSource) eachLine(b *telemetry.Batch, text []byte, now time.Time) {
	n := l.line
	for line := range bytes.Lines(text) {
		n++
		if line = bytes.TrimSpace(line); len(line) == 0 || line[0] == '#' {
			continue
		}
		var one telemetry.Batch
		if err := one.Decode("", "", line, now); err != nil {
			l.refused(n-1, err)
		}
		one.Drops().Each(func(code telemetry.Code, _ int) {
			if code != telemetry.CodeTimeSkew {
				l.refused(n-1, &telemetry.DecodeError{Code: code, Where: cut(string(line), 60)})
			}
		})
		for g := range one.Groups() {
			b.Take(g)
		}
	}
}

// cut returns the start of text, at most so many bytes.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "..."
}

// refused tells of text that cannot be read and comes after so many lines.
func (l *lineSource) refused(after int, err error) {
	if e, ok := errors.AsType[*telemetry.DecodeError](err); ok {
		err = &telemetry.DecodeError{Code: e.Code, Line: after + max(1, e.Line), Where: e.Where}
	}
	l.solo.count.fail("input", err)
	l.solo.o.Log.Warn("input left out", "error", err)
}

func (l *lineSource) ready() int { return len(l.pieces) }

func (l *lineSource) close(context.Context) error {
	l.stop()
	return nil
}

func (l *lineSource) ack() {}

func (l *lineSource) again(time.Duration) { l.solo.gaveBack() }

// bury leaves it at the log, where the session has told the reason.
func (l *lineSource) bury(context.Context, []byte, int, string, error) error { return nil }
