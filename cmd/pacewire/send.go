package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/internal/amount"
	"github.com/pacewire/pacewire/telemetry"
)

// sendPiece is how much text goes into one batch; a line is never cut.
const sendPiece = 64 << 10

func (a *app) send() *cobra.Command {
	as, host := "", ""
	c := &cobra.Command{
		Use: "send [FILE]", Short: "Send points, as line protocol or JSON, from a file or stdin", Args: cobra.MaximumNArgs(1),
		Long:    "send puts points on the bus under the name of a plugin, by default send: readers have them by `from: send`.\nIt returns when the bus has stored them.",
		Example: "  echo 'cpu,core=0 usage=42' | pacewire send\n  pacewire send --as host points.lp",
		RunE: func(c *cobra.Command, args []string) error {
			in := a.in
			if len(args) == 1 && args[0] != "-" {
				f, err := os.Open(args[0])
				if err != nil {
					return err
				}
				defer f.Close()
				in = f
			}
			conn, here, err := a.connect(c.Context())
			if err != nil {
				return err
			}
			defer conn.Close()
			if host != "" {
				here = host
			}
			out, err := bus.NewPublisher(conn, bus.PublisherOptions{Host: here, Plugin: as})
			if err != nil {
				return err
			}
			defer out.Close()
			n, err := sendAll(c.Context(), out, bus.MetricsSubject(here, as), in)
			points := "points"
			if n == 1 {
				points = "point"
			}
			fmt.Fprintf(a.err, "%d %s stored\n", n, points)
			if n > 0 && !isRead(c.Context(), conn, bus.MetricsSubject(here, as)) {
				fmt.Fprintf(a.err, "note: no plugin reads them: put %s into the from: of one\n", printable(as))
			}
			return err
		},
	}
	c.Flags().StringVar(&as, "as", "send", "the plugin the points come from")
	c.Flags().StringVar(&host, "host", "", "the host the points are about; by default this one")
	_ = c.RegisterFlagCompletionFunc("as", a.completePlugins)
	_ = c.RegisterFlagCompletionFunc("host", completeHost)
	return c
}

// isRead reports whether a reader takes what is stored under a subject, or it cannot be told.
func isRead(ctx context.Context, conn *bus.Conn, subject string) bool {
	ctx, cancel := context.WithTimeout(ctx, readersTime)
	defer cancel()
	states, err := conn.ConsumerStates(ctx, bus.StreamMetrics)
	if err != nil {
		return true // the user may not ask, or the bus is busy: the points are stored all the same
	}
	for _, s := range states {
		if len(s.Filters) == 0 || slices.ContainsFunc(s.Filters, func(filter string) bool { return takes(filter, subject) }) {
			return true
		}
	}
	return false
}

// readersTime is for a note, which nobody should wait for.
const readersTime = time.Second

// takes reports whether a filter of the bus lets a subject through.
func takes(filter, subject string) bool {
	tokens := strings.Split(subject, ".")
	for i, want := range strings.Split(filter, ".") {
		switch {
		case want == ">":
			return len(tokens) > i
		case i >= len(tokens), want != "*" && want != tokens[i]:
			return false
		}
	}
	return len(tokens) == strings.Count(filter, ".")+1
}

// sendAll sends all of in, and returns how many points were stored.
func sendAll(ctx context.Context, out *bus.Publisher, subject string, in io.Reader) (stored int, err error) {
	var b telemetry.Batch
	var faults []error
	r := bufio.NewReaderSize(in, sendPiece)
	for {
		text, readErr := piece(r)
		if len(bytes.TrimSpace(text)) > 0 {
			if err := b.Decode("", "", text, time.Now().Truncate(time.Microsecond)); err != nil {
				faults = append(faults, err)
			}
			if n := b.Drops().Total(); n > 0 {
				faults = append(faults, fmt.Errorf("%s left out: %s", amount.Of(n, "point or field was", "points or fields were"), reasons(b.Drops())))
			}
			n, err := store(ctx, out, subject, &b)
			stored += n
			if err != nil {
				return stored, errors.Join(append(faults, err)...)
			}
		}
		if readErr != nil {
			if !errors.Is(readErr, io.EOF) {
				faults = append(faults, readErr)
			}
			return stored, errors.Join(faults...)
		}
	}
}

// piece returns whole lines, about sendPiece of them; a JSON text without line ends comes as it is.
func piece(r *bufio.Reader) ([]byte, error) {
	var text []byte
	for len(text) < sendPiece {
		line, err := r.ReadBytes('\n')
		text = append(text, line...)
		if err != nil {
			return text, err
		}
		if len(text) > telemetry.MaxMessage {
			return text, fmt.Errorf("a line is longer than %d bytes", telemetry.MaxMessage)
		}
	}
	return text, nil
}

func store(ctx context.Context, out *bus.Publisher, subject string, b *telemetry.Batch) (stored int, err error) {
	for f := range b.Frames(telemetry.TargetFrame, func() []byte { return nil }) {
		if f.Err != nil {
			return stored, f.Err
		}
		if err := out.Publish(ctx, bus.Message{Subject: subject, ContentType: string(telemetry.ContentMsgPack), Body: f.Body}); err != nil {
			return stored, err
		}
		stored += f.Points
	}
	return stored, nil
}

func reasons(d *telemetry.Drops) string {
	text := ""
	d.Each(func(c telemetry.Code, n int) { text += fmt.Sprintf(" %s %d", c, n) })
	return text[min(1, len(text)):]
}
