package telemetry

import (
	"reflect"
	"testing"
)

func TestPulseStatus(t *testing.T) {
	want := PulseStatus{
		State: PulseRefused, Reason: "busy", Host: "h1", Inst: "9f3c", Gen: 3, Seq: 12, IntervalMS: 10000, Server: "hub-1", Term: 7, Ack: 11,
		AgeMS: 1200, Received: 10, Lost: 1, AckLost: 2, RTTUS: 412, OffsetUS: -1234, Steps: 1, Flags: []string{"conflict"},
		Uplink: &UplinkStatus{State: UplinkAway, Reason: "no route", Bus: "tls://bus", Order: "live", AgeMS: 5, Messages: 7, Bytes: 900, Filled: 0.75, Lags: true, Rate: 1.5, ByteRate: 2.5, Sent: 9, Known: 1, Lost: 2, SetAside: 3},
	}
	for _, enc := range []Encoding{MsgPack, JSON} {
		b, err := EncodeControl(want, enc)
		if err != nil {
			t.Fatal(err)
		}
		if got, gotEnc, err := DecodePulseStatus(b); err != nil || gotEnc != enc || !reflect.DeepEqual(got, want) {
			t.Errorf("%v: %+v, %v", enc, got, err)
		}
	}
	if _, _, err := DecodePulseStatus([]byte(`{"host":"h1"}`)); err == nil {
		t.Error("a status without a state is taken")
	}
}
