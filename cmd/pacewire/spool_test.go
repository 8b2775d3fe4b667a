package main

import (
	"strings"
	"testing"
	"time"

	"github.com/pacewire/pacewire/agent/config"
	"github.com/pacewire/pacewire/bus"
	"github.com/pacewire/pacewire/telemetry"
)

func TestSpoolStreams(t *testing.T) {
	f := func(b config.Bus, age time.Duration, bytes int64) {
		t.Helper()
		b.URLs, b.Spool = []string{"nats://hq.example"}, &config.Spool{}
		got := streamsOf(&config.Settings{Bus: b})
		if got.MetricsMaxAge != age || got.MetricsMaxBytes != bytes {
			t.Errorf("%v, %d bytes; want %v, %d", got.MetricsMaxAge, got.MetricsMaxBytes, age, bytes)
		}
	}
	f(config.Bus{}, 24*time.Hour, 1<<30)
	f(config.Bus{MaxAge: time.Hour, MaxStore: 1 << 30}, time.Hour, 1<<29)
	f(config.Bus{MaxStore: 8 << 30}, 24*time.Hour, 7<<30)
	if got := streamsOf(&config.Settings{Bus: config.Bus{URLs: []string{"nats://hq.example"}}}); got.MetricsMaxAge != bus.DefaultStreams().MetricsMaxAge {
		t.Errorf("without a spool: %v", got.MetricsMaxAge)
	}
}

func TestUplinkShown(t *testing.T) {
	f := func(u telemetry.UplinkStatus, fault string, parts ...string) {
		t.Helper()
		u.Bus, u.Order, u.AgeMS = "tls://hq.example", "oldest", 90_400
		if got := uplinkFault(&u); got != fault {
			t.Errorf("fault %q, want %q", got, fault)
		}
		state, waits := uplinkText(&u)
		for _, part := range append(parts, u.State, "tls://hq.example", "1m30s", "oldest first") {
			if !strings.Contains(state+waits, part) {
				t.Errorf("%q does not say %q", state+waits, part)
			}
		}
	}
	f(telemetry.UplinkStatus{State: telemetry.UplinkOK, Rate: 20.04}, "", "20.0 messages/s", "0 messages")
	f(telemetry.UplinkStatus{State: telemetry.UplinkAway, Reason: "no route", Messages: 7, Bytes: 2048}, "the bus of the fleet is away for 1m30s, with 7 messages (2.0 KiB) waiting here: no route",
		"7 messages, 2.0 KiB")
	f(telemetry.UplinkStatus{State: telemetry.UplinkAway}, "the bus of the fleet is away for 1m30s, with 0 messages (0 B) waiting here")
	f(telemetry.UplinkStatus{State: telemetry.UplinkOK, Filled: 0.2}, "")
	f(telemetry.UplinkStatus{State: telemetry.UplinkOK, Filled: 0.724, Lags: true}, "uplink: what waits here fills 72% of the spool: 0 messages (0 B)", "fills 72% of the spool")
	f(telemetry.UplinkStatus{State: telemetry.UplinkFull, Lost: 5, SetAside: 6}, "uplink: storage_full for 1m30s, with 0 messages (0 B) waiting here",
		"5 lost", "6 refused")
}

func TestDoctorOfUplink(t *testing.T) {
	d := new(doctor)
	d.uplink(nil)
	d.uplink(&telemetry.UplinkStatus{State: telemetry.UplinkOK, Bus: "tls://hq.example"})
	if len(d.findings) > 0 || len(d.looked) != 1 {
		t.Errorf("%+v, looked at %q", d.findings, d.looked)
	}
	d.uplink(&telemetry.UplinkStatus{State: telemetry.UplinkAway, Filled: 0.9, Lags: true, Lost: 3})
	if len(d.findings) != 3 || !d.ill() {
		t.Errorf("%+v", d.findings)
	}
	d = new(doctor)
	d.uplink(&telemetry.UplinkStatus{State: telemetry.UplinkOK, Lost: 3, LostAt: ago(2 * time.Hour)})
	if len(d.findings) != 1 || d.ill() || !strings.Contains(d.findings[0].Problem, "last 2h ago") {
		t.Errorf("a loss long ago: %+v", d.findings)
	}
	d = new(doctor)
	d.uplink(&telemetry.UplinkStatus{State: telemetry.UplinkDenied, Cut: true, Reason: "check bus.creds_file"})
	if len(d.findings) != 1 || !strings.Contains(d.findings[0].Fix, "creds_file: FILE") {
		t.Errorf("barred: %+v", d.findings)
	}
}
