package wire

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

// examples returns the JSON of the page, each text that begins in one of the ways given: on lines of its own, or within a line.
func examples(t testing.TB, start string) (all []string) {
	t.Helper()
	text := strings.ReplaceAll(page(t), "\n       ", "") // goes on
	for _, at := range regexp.MustCompile(regexp.QuoteMeta(start)).FindAllStringIndex(text, -1) {
		line, _, _ := strings.Cut(text[at[0]:], "\n")
		line, _, _ = strings.Cut(line, "`")
		line, _, _ = strings.Cut(line, "   ") // what is said of it
		all = append(all, line)
	}
	return all
}

// The messages on the page are read by those whom they are for.
func TestPageMessages(t *testing.T) {
	f := func(start string, atLeast int, take func(body []byte) error) {
		t.Helper()
		found := examples(t, start)
		for _, text := range found {
			if err := take([]byte(text)); err != nil {
				t.Errorf("%s: %v", text, err)
			}
		}
		if len(found) < atLeast {
			t.Errorf("%d examples begin with %s, want %d", len(found), start, atLeast)
		}
	}
	fits := func(place string) func([]byte) error {
		return func(body []byte) error { return compile(t, place).Validate(parse(t, body)) }
	}
	f(`{"v":1,"host"`, 2, taken(telemetry.DecodeHeartbeat))
	f(`{"v":1,"srv"`, 1, taken(telemetry.DecodeAck))
	f(`{"level":`, 1, taken(telemetry.DecodeLogRecord))
	f(`{"batch":`, 1, fits("stream.json#/$defs/pull"))
	f(`{"stream":"METRICS","seq"`, 2, fits("stream.json#/$defs/stored"))
	f(`{"stream":"METRICS","durable"`, 1, fits("ack.json#/$defs/input"))
	points := func(body []byte) error {
		whole, err := readBatch(body)
		if err == nil && !whole {
			err = fmt.Errorf("not all of it is taken")
		}
		return err
	}
	f(`{"series":`, 3, points)
	f(`[1,1000,`, 2, points)
}

// Rows and columns of the page are the same batch.
func TestPageRowsAndColumns(t *testing.T) {
	var both [2]telemetry.Batch
	for i, text := range examples(t, "[1,1000,") {
		if err := both[i].DecodeJSON([]byte(text), time.Time{}); err != nil {
			t.Fatal(err)
		}
	}
	if rows, columns := points(t, &both[0]), points(t, &both[1]); !slices.Equal(rows, columns) {
		t.Errorf("rows are\n%s\ncolumns\n%s", rows, columns)
	}
}

// The codes by which a reader refuses stand on the page, and so do the limits.
func TestPageBatches(t *testing.T) {
	_, section, _ := strings.Cut(page(t), "\n## Batches\n")
	section, _, _ = strings.Cut(section, "\n## ")
	for c := telemetry.CodeEmpty; c <= telemetry.CodeTimeSkew; c++ {
		if c != telemetry.CodeIdentity && !regexp.MustCompile("[` ]"+c.String()+"[` ]").MatchString(section) { // which no reader uses yet
			t.Errorf("the page does not name the code %s", c)
		}
	}
	for what, limit := range map[string]int{
		"groups": telemetry.MaxGroups, "points": telemetry.MaxPoints, "cells: n x (tag keys + fields), all groups": telemetry.MaxCells, "tags in a map, tag keys of a group": telemetry.MaxTags,
		"fields of a group": telemetry.MaxFields, "series, key, field name": telemetry.MaxName, "tag value": telemetry.MaxTagValue, "text of a field": telemetry.MaxText,
	} {
		if _, said, ok := strings.Cut(section, "| "+what+" | "); !ok || !strings.HasPrefix(strings.TrimPrefix(said, "1 to "), grouped(limit)) {
			t.Errorf("%s: the limit is %s", what, grouped(limit))
		}
	}
}

// grouped writes 65535 as 65,535.
func grouped(n int) string {
	if n < 1000 {
		return fmt.Sprint(n)
	}
	return fmt.Sprintf("%s,%03d", grouped(n/1000), n%1000)
}

// The headers of dead letters, and what is derived from an id, stand on the page as package bus writes them.
func TestPageNames(t *testing.T) {
	text := page(t)
	for _, header := range []string{bus.HeaderReason, bus.HeaderError, bus.HeaderSubject, bus.HeaderStreamSeq, bus.HeaderDeliveries, bus.HeaderSourceID, bus.HeaderStored, bus.HeaderLeftOut} {
		if !strings.Contains(text, "`"+header+"`") {
			t.Errorf("the page does not name the header %s", header)
		}
	}
	if got := bus.DerivedID("<id>", "p", 2); got != "<id>+p.2" {
		t.Errorf("a second derived id is %s", got)
	}
	for _, stream := range []string{bus.StreamMetrics, bus.StreamEvents, bus.StreamDead, bus.StreamLeases} {
		if !strings.Contains(text, stream) {
			t.Errorf("the page does not name the stream %s", stream)
		}
	}
}
