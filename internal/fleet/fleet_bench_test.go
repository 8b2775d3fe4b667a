package fleet

import (
	"testing"
	"time"

	"github.com/pacewire/pacewire/telemetry"
)

func benchKind(b *testing.B) (kind, *host) {
	b.Helper()
	o := Options{Hosts: 1, Inventory: 16 << 10}
	if err := o.complete(); err != nil {
		b.Fatal(err)
	}
	k := newKind(o)
	h := k.host(0)
	h.begun, h.inst, h.gen, h.seq, h.interval, h.greeted, h.held = time.Now(), newInst(), 1, 1, time.Second, true, h.digest
	return k, h
}

func BenchmarkBeatFilledIn(b *testing.B) {
	k, h := benchKind(b)
	now := time.Now()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = k.beat.fill(buf[:0], h, now)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkBeatEncoded(b *testing.B) {
	k, h := benchKind(b)
	now := time.Now()
	b.ReportAllocs()
	for b.Loop() {
		k.full(h, now, "")
	}
}

func BenchmarkInfoFilledIn(b *testing.B) {
	k, h := benchKind(b)
	now := time.Now()
	var buf []byte
	b.ReportAllocs()
	for b.Loop() {
		buf = k.entries[changing].fill(buf[:0], h, changing, now)
	}
	b.SetBytes(int64(len(buf)))
}

func BenchmarkAckTaken(b *testing.B) {
	k, h := benchKind(b)
	l := &line{kind: &k, stats: newStats()}
	h.mode = alive
	l.queue.put(h, time.Now())
	body := encode(telemetry.Ack{Version: 1, Server: "hub", Term: 1, Seq: 1, T1: 1, T2: 2, T3: 3, State: telemetry.Accepted, NextMS: 1000, Digest: h.digest})
	b.ReportAllocs()
	for b.Loop() {
		h.acked = 0
		l.obey(h, body, time.Now())
	}
}
