package main

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/pacewire/pacewire/internal/loadtest"
	"github.com/pacewire/pacewire/telemetry"
)

// sample returns a batch as the pipeline carries it, with n points.
func sample(n int) (*telemetry.Batch, []byte, error) {
	text := loadtest.Text(n)
	var b telemetry.Batch
	err := b.DecodeLines(text, time.Now())
	return &b, text, err
}

// codec measures the encodings of 1,000 points, with every check, beside encoding/json on points.
func codec(_ context.Context, s settings) ([]row, error) {
	const n = 1000
	b, text, err := sample(n)
	if err != nil {
		return nil, err
	}
	wire := b.AppendMsgPack(nil)
	var in telemetry.Batch
	var points []telemetry.Point
	for p := range b.Points() {
		points = append(points, p)
	}
	encode := perPoint(n, func() { wire = b.AppendMsgPack(wire[:0]) })
	decode := perPoint(n, func() { _ = in.DecodeMsgPack(wire) })
	var d telemetry.LineDecoder
	var parsed telemetry.Batch
	parse := perPoint(n, func() {
		parsed.Reset()
		_ = d.Decode(&parsed, text, time.Now())
	})
	var out []byte
	write := perPoint(n, func() { out = b.AppendLines(out[:0]) })
	var asJSON []byte
	jsonOut := perPoint(n, func() { asJSON, _ = json.Marshal(points) })
	jsonIn := perPoint(n, func() {
		var back []telemetry.Point
		_ = json.Unmarshal(asJSON, &back)
	})
	size := float64(len(wire)) / n
	ref := fmt.Sprintf("encoding/json: %.0f / %.0f ns", jsonOut.ns, jsonIn.ns)
	return []row{
		{"codec, ns a point, encode / decode", fmt.Sprintf("%.1f / %.1f", encode.ns, decode.ns), ref, "25 / 40", "10 / 10",
			worse(judge(encode.ns, 25, 10, true), judge(decode.ns, 40, 10, true))},
		{"codec, bytes a point", fmt.Sprintf("%.1f", size), fmt.Sprintf("line protocol: %.0f, JSON: %d", float64(len(text))/n, len(asJSON)/n), "57", "50", judge(size, 57, 50, true)},
		{"codec, allocations a batch, encode / decode", fmt.Sprintf("%d / %d", encode.allocs, decode.allocs), fmt.Sprintf("encoding/json: %d / %d", jsonOut.allocs, jsonIn.allocs), "0", "0",
			judge(float64(encode.allocs+decode.allocs), 0, 0, true)},
		{"line protocol, ns a point, read / write", fmt.Sprintf("%.1f / %.1f", parse.ns, write.ns), ref, "", "", noBar},
	}, nil
}

type cost struct {
	ns     float64
	allocs int64
}

// perPoint returns the median of five measurements of f, which does n points.
func perPoint(n int, f func()) cost {
	f()
	var best []cost
	for range 5 {
		r := testing.Benchmark(func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				f()
			}
		})
		best = append(best, cost{float64(r.T.Nanoseconds()) / float64(r.N) / float64(n), r.AllocsPerOp()})
	}
	return median(best)
}

// median returns the measurement in the middle by time.
func median(all []cost) cost {
	slices.SortFunc(all, func(a, b cost) int { return cmp.Compare(a.ns, b.ns) })
	return all[len(all)/2]
}
