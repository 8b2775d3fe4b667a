package host

import (
	"context"

	"github.com/pacewire/pacewire/telemetry"
)

// A section collects one part of the machine. An error that says that a file does not exist, or is not supported, means
// that this machine has no such part.
type section interface {
	collect(ctx context.Context, out *telemetry.Batch) error
}

// A series is what one section emits, under the section's name. Its catalog entry and its columns both come from here.
type series struct {
	name, help string
	tags       []tag
	fields     []field
}

type tag struct{ key, help string }

type field struct {
	name string
	typ  telemetry.Type
	unit string
}

// The types of the fields of all sections: shares and averages are floats, counts are unsigned.
const (
	float  = telemetry.TypeFloat
	number = telemetry.TypeUint
)

// allSeries returns the series of all sections, in the order they are collected.
func allSeries() []series {
	return []series{
		cpuSeries(), memSeries(), swapSeries(), loadSeries(), diskSeries(), diskioSeries(), netSeries(), processesSeries(),
		kernelSeries(), systemSeries(), pressureSeries(),
	}
}

func sectionNames() []string {
	var names []string
	for _, s := range allSeries() {
		names = append(names, s.name)
	}
	return names
}

func catalog() []telemetry.Desc {
	var descs []telemetry.Desc
	for _, s := range allSeries() {
		d := telemetry.Desc{Series: s.name, Help: s.help, Fields: map[string]string{}, Types: map[string]string{}}
		for _, f := range s.fields {
			d.Fields[f.name] = f.unit
			d.Types[f.name] = string(f.typ)
		}
		for _, t := range s.tags {
			if d.Tags == nil {
				d.Tags = map[string]string{}
			}
			d.Tags[t.key] = t.help
		}
		descs = append(descs, d)
	}
	return descs
}

// A table adds the rows of a series to batches: a value for each of its tags and fields, in their order.
type table struct {
	name   string
	keys   []string
	fields []telemetry.Field
}

func (s series) table() table {
	t := table{name: s.name}
	for _, tag := range s.tags {
		t.keys = append(t.keys, tag.key)
	}
	for _, f := range s.fields {
		t.fields = append(t.fields, telemetry.Field{Name: f.name, Type: f.typ})
	}
	return t
}

// in returns the group of out that rows of the series go to.
func (t *table) in(out *telemetry.Batch) *telemetry.Group { return out.Group(t.name, t.keys, t.fields) }

// percent returns part of whole, 0 when there is no whole.
func percent(part, whole uint64) float64 {
	if whole == 0 {
		return 0
	}
	return 100 * float64(part) / float64(whole)
}

// less returns a-b, 0 when b is more: numbers that are read one after the other need not fit together.
func less(a, b uint64) uint64 { return a - min(a, b) }
