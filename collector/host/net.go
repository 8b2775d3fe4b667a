package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"

	"github.com/pacewire/pacewire/telemetry"
)

func netSeries() series {
	return series{"net", "Traffic of the network interfaces since they came up.",
		[]tag{{"interface", "name of the interface"}},
		[]field{
			{"bytes_recv", number, "bytes"},
			{"packets_recv", number, "packets"},
			{"err_in", number, "packets"},
			{"drop_in", number, "packets"},
			{"bytes_sent", number, "bytes"},
			{"packets_sent", number, "packets"},
			{"err_out", number, "packets"},
			{"drop_out", number, "packets"},
		}}
}

// traffic is a line of net/dev: 8 numbers received, 8 sent.
type traffic [16]uint64

type net struct {
	table
	dev        *file
	interfaces names
}

func newNet(dev *file, skip []string) *net {
	return &net{netSeries().table(), dev, names{skip: skip}}
}

func (n *net) collect(_ context.Context, out *telemetry.Batch) error {
	text, err := n.dev.text()
	if err != nil {
		return err
	}
	return n.dev.fault(parseNetDev(text, func(name []byte, t traffic) {
		if name, ok := n.interfaces.keep(name); ok {
			n.in(out).Row(out.Time(), []string{name},
				telemetry.Uint(t[0]), telemetry.Uint(t[1]), telemetry.Uint(t[2]), telemetry.Uint(t[3]),
				telemetry.Uint(t[8]), telemetry.Uint(t[9]), telemetry.Uint(t[10]), telemetry.Uint(t[11]))
		}
	}))
}

// parseNetDev gives each interface of text, which has two lines of headings, to each.
func parseNetDev(text []byte, each func(name []byte, t traffic)) error {
	for i, line := range lines(text) {
		if i <= 2 || len(bytes.TrimSpace(line)) == 0 {
			continue
		}
		name, t, err := parseInterface(line)
		if err != nil {
			return fmt.Errorf("line %d: %w", i, err)
		}
		each(name, t)
	}
	return nil
}

// parseInterface reads a line of net/dev. Old kernels put no blank behind the colon, and a name may hold one.
func parseInterface(line []byte) (name []byte, t traffic, err error) {
	colon := bytes.LastIndexByte(line, ':')
	if colon < 0 {
		return nil, t, errors.New("want an interface and a colon")
	}
	name = bytes.TrimSpace(line[:colon])
	n, err := parseUints(line[colon+1:], t[:])
	if err == nil && n < len(t) {
		err = fmt.Errorf("want %d numbers, got %d", len(t), n)
	}
	if err != nil {
		return nil, t, fmt.Errorf("%.20s: %w", name, err)
	}
	return name, t, nil
}
