package telemetry

import "testing"

func BenchmarkGuard(b *testing.B) {
	f := func(name string, v any) {
		body, err := EncodeControl(v, MsgPack)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(name, func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if err := guard(body, beatBounds); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	f("beat", fullBeat())
	f("hello", fullHello())
}

func BenchmarkDecodeHeartbeat(b *testing.B) {
	for _, enc := range []Encoding{MsgPack, JSON} {
		body, err := EncodeControl(fullBeat(), enc)
		if err != nil {
			b.Fatal(err)
		}
		b.Run(enc.String(), func(b *testing.B) {
			b.SetBytes(int64(len(body)))
			b.ReportAllocs()
			for b.Loop() {
				if _, _, err := DecodeHeartbeat(body); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkEncodeHeartbeat(b *testing.B) {
	beat := fullBeat()
	for _, enc := range []Encoding{MsgPack, JSON} {
		b.Run(enc.String(), func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := EncodeControl(beat, enc); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}
