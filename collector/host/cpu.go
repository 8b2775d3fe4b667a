package host

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func cpuSeries() series {
	return series{"cpu", "Share of time that the CPUs spent on each kind of work since the collection before.",
		[]tag{{"cpu", "cpu-total, or cpu0 and so on"}},
		[]field{
			{"usage", float, "percent"}, // all but idle and waiting for I/O
			{"usage_user", float, "percent"},
			{"usage_nice", float, "percent"},
			{"usage_system", float, "percent"},
			{"usage_idle", float, "percent"},
			{"usage_iowait", float, "percent"},
			{"usage_irq", float, "percent"},
			{"usage_softirq", float, "percent"},
			{"usage_steal", float, "percent"},
			{"usage_guest", float, "percent"},
			{"usage_guest_nice", float, "percent"},
		}}
}

// ticks are the columns of a cpu line, in the order of the kernel.
type ticks [10]uint64

const (
	inUser = iota
	inNice
	inSystem
	inIdle
	inIOWait
	inIRQ
	inSoftIRQ
	inSteal
	inGuest     // is in user too
	inGuestNice // is in nice too
)

// minSpan is the least time over which usage is told: the kernel counts in ticks of 10 ms.
const minSpan = 100 * time.Millisecond

type cpu struct {
	table
	stat   *file
	each   bool
	began  time.Time // when the first ticks were read
	before map[string]*core
}

// A core is one CPU, or all of them together, as it was at the last collection.
type core struct {
	name  string
	ticks ticks
}

// newCPU reads the ticks once, so that the first collection has something to compare with.
func newCPU(stat *file, each bool) *cpu {
	c := &cpu{table: cpuSeries().table(), stat: stat, each: each, before: map[string]*core{}}
	_ = c.read(nil) // the first collection meets the same error
	c.began = time.Now()
	return c
}

func (c *cpu) collect(ctx context.Context, out *telemetry.Batch) error {
	if wait := minSpan - time.Since(c.began); wait > 0 {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(wait):
		}
	}
	return c.read(out)
}

// read adds the usage of each CPU since the last read to out, if there is an out.
func (c *cpu) read(out *telemetry.Batch) error {
	text, err := c.stat.text()
	if err != nil {
		return err
	}
	return c.stat.fault(parseCPUs(text, c.each, func(name []byte, now ticks) {
		last := c.before[string(name)]
		if last == nil {
			last = &core{name: tagOf(name), ticks: now}
			c.before[string(name)] = last
		}
		if spent, ok := now.since(last.ticks); ok && out != nil {
			c.add(out, last.name, spent)
		}
		last.ticks = now
	}))
}

func tagOf(name []byte) string {
	if len(name) == len("cpu") {
		return "cpu-total"
	}
	return string(name)
}

func (c *cpu) add(out *telemetry.Batch, name string, spent ticks) {
	var total uint64
	for _, n := range spent[:inGuest] { // guests are counted already
		total += n
	}
	share := func(n uint64) telemetry.Value { return telemetry.Float(percent(n, total)) }
	c.in(out).Row(out.Time(), []string{name},
		share(total-spent[inIdle]-spent[inIOWait]),
		share(less(spent[inUser], spent[inGuest])),
		share(less(spent[inNice], spent[inGuestNice])),
		share(spent[inSystem]), share(spent[inIdle]), share(spent[inIOWait]), share(spent[inIRQ]), share(spent[inSoftIRQ]),
		share(spent[inSteal]), share(min(spent[inGuest], spent[inUser])), share(min(spent[inGuestNice], spent[inNice])))
}

// since returns what was added to each column. A column that went backwards, as iowait may, has got nothing. ok is false
// when no time has passed.
func (t ticks) since(before ticks) (spent ticks, ok bool) {
	for i := range t {
		spent[i] = less(t[i], before[i])
		ok = ok || spent[i] > 0 && i < inGuest
	}
	return spent, ok
}

// parseCPUs gives the cpu lines at the start of text to each: all CPUs together and, if every, each of them.
func parseCPUs(text []byte, every bool, each func(name []byte, t ticks)) error {
	found := false
	for i, line := range lines(text) {
		if !bytes.HasPrefix(line, []byte("cpu")) {
			break
		}
		name, rest := word(line)
		if len(name) > len("cpu") && !every {
			break
		}
		var t ticks
		n, err := parseUints(rest, t[:])
		if err == nil && n <= inIdle {
			err = fmt.Errorf("want 4 numbers or more, got %d", n)
		}
		if err != nil {
			return fmt.Errorf("line %d: %.20s: %w", i, name, err)
		}
		each(name, t)
		found = true
	}
	if !found {
		return errors.New("line 1: want cpu and its ticks")
	}
	return nil
}
