package telemetry

import "encoding/json"

// fullBeat is a steady beat of an agent with every field in use.
func fullBeat() Heartbeat {
	return Heartbeat{
		Version: 1, Host: "6f1c2a9e4b7d4f0aa1b2c3d4e5f60718", Plugin: AgentName, Name: "web-1.example.org",
		Boot: "0b4c1f6e-7d1c-4f0e-9a55-0d5f1f7f8a11", Inst: "9f3c1a7e5b2d4c60", Gen: 17, Seq: 8123, IntervalMS: 10000,
		T1: 1763559525997744692, Mono1: 86400123456789, UpMS: 86400123, HostUpMS: 186400123,
		Digest: DigestOf([]byte("inventory")), Items: 42, Owner: "team-web", ConfigRev: 12, State: "running",
		Flags: []string{"refreshing"}, Error: &Fault{Code: FaultTimeout, Message: "read disk: deadline exceeded", AgeMS: 5300},
		Plugins: &PluginCounts{OK: 39, Fail: 2, Late: 1, Worst: map[string]string{"disk": "failed", "nginx": "late"}},
		Load:    map[string]float64{"load1": 0.25, "load5": 0.5, "load15": 0.75, "rss": 31457280, "queue": 0},
		Ack:     8122, AckLost: 3, RTTUS: 412, OffsetUS: -1234,
	}
}

// fullHello is a first beat of a plugin with every field of its manifest in use.
func fullHello() Heartbeat {
	items := []InventoryItem{
		{Plugin: "disk", Type: DataManifest, Version: "1.4.0", Digest: DigestOf([]byte("m"))},
		{Plugin: "disk", Type: DataInfo, Version: "1.4.0", Config: Digest{15: 1}, Digest: DigestOf([]byte("i"))},
	}
	stats := fullStats()
	return Heartbeat{
		Version: 1, Host: "web-1", Plugin: "disk", Inst: "9f3c1a7e5b2d4c60", Seq: 1, IntervalMS: 10000, Hello: true, State: "starting",
		ResumedMS: 3600000, Inventory: items, Digest: InventoryDigest(items), Items: uint64(len(items)), Stats: &stats,
		Manifest: &Manifest{
			Kind: "collector", Program: "disk", Version: "1.4.0", API: 1, Summary: "Space and inodes of file systems.",
			Schema: json.RawMessage(`{"type":"object","additionalProperties":false,"properties":{"mounts":{"type":"array","items":{"type":"string"},"default":[]}}}`),
			Catalog: []Desc{{Series: "disk", Help: "Space of a file system.", Tags: map[string]string{"device": "block device", "path": "where it is mounted"},
				Fields: map[string]string{"free": "bytes", "used": "bytes"}, Types: map[string]string{"free": "u", "used": "u"}}},
			Routes: []Route{{Path: "/usage/{device}", Methods: []string{"GET", "POST"}, Auth: "none", Permission: "disk.read", TimeoutMS: 2000,
				MaxRequest: 1024, MaxResponse: 65536, Stream: "response", SetCookie: true}},
			Labels: map[string]string{"rack": "r7"}, OS: "linux", Arch: "amd64", Proxy: true,
		},
	}
}

func fullStats() Stats {
	return Stats{
		PointsIn: 1000, PointsOut: 998, BatchesIn: 12, BatchesOut: 11, BytesIn: 56800, BytesOut: 55000,
		Errors: map[string]uint64{"timeout": 2, "denied": 1}, Redelivered: 3, Dead: 1, Dropped: map[string]uint64{"nan": 2},
		Refused: map[string]uint64{"refused_flood": 70}, Resent: 5, LateResent: 1, Ticks: 90, Missed: 1,
		Queue: 4, QueueBytes: 4096, Calls: 91, CallP50US: 250, CallP99US: 1900, CallMaxUS: 20000,
		LastError: &Fault{Code: FaultTimeout, Message: "post: deadline exceeded", AgeMS: 60000},
	}
}

func fullRefresh() []RefreshItem {
	return []RefreshItem{
		{InventoryItem: InventoryItem{Plugin: "os", Type: DataInfo, Version: "1.4.0", Config: Digest{15: 1}, Digest: DigestOf([]byte("os"))}, Size: 4096, AgeMS: 60000},
		{InventoryItem: InventoryItem{Plugin: "docker", Type: DataInfo}, Error: &Fault{Code: FaultTimeout, Message: "docker info", AgeMS: 10000}},
	}
}

// steadyBeat is what a plugin says most of the time.
func steadyBeat() Heartbeat {
	hello := fullHello()
	return Heartbeat{
		Version: 1, Host: "web-1", Plugin: "disk", Inst: "9f3c1a7e5b2d4c60", Seq: 4711, IntervalMS: 10000, T1: 1763559525997744692, Mono1: 47110000000000,
		UpMS: 47110000, Digest: hello.Digest, Items: hello.Items, ConfigRev: 12, State: "running", Stats: &Stats{Ticks: 4711, PointsOut: 9422, BatchesOut: 4711},
		Ack: 4710, RTTUS: 412,
	}
}

// agentHello is a first beat of an agent, which lists its plugins' entries after its own.
func agentHello() Heartbeat {
	items := []InventoryItem{
		{Plugin: AgentName, Type: DataManifest, Version: "0.4.0", Digest: DigestOf([]byte("a"))},
		{Plugin: "disk", Type: DataManifest, Version: "1.4.0", Digest: DigestOf([]byte("m"))},
		{Plugin: "disk", Type: DataInfo, Version: "1.4.0", Config: Digest{15: 1}, Digest: DigestOf([]byte("i"))},
		{Plugin: "disk", Type: DataStatus, Version: "1.4.0", Digest: DigestOf([]byte("s"))},
	}
	return Heartbeat{
		Version: 1, Host: "6f1c2a9e4b7d4f0aa1b2c3d4e5f60718", Plugin: AgentName, Name: "web-1.example.org", Boot: "0b4c1f6e-7d1c-4f0e-9a55-0d5f1f7f8a11",
		Inst: "9f3c1a7e5b2d4c60", Gen: 18, Seq: 1, IntervalMS: 10000, Hello: true, Inventory: items, Digest: InventoryDigest(items), Items: uint64(len(items)),
		Owner: "team-web", State: "running", Plugins: &PluginCounts{OK: 1},
		Manifest: &Manifest{Kind: "agent", Program: "pacewire", Version: "0.4.0", API: 1, Labels: map[string]string{"site": "eu-1", "rack": "r7"}, OS: "linux", Arch: "amd64"},
	}
}

// hubAck is a hub's answer to a steady beat with every field in use but those of Work.
func hubAck() Ack {
	return Ack{
		Version: 1, Server: "hub-1", Term: 7, Seq: 8123, T1: 1763559525997744692, T2: 1763559525997844692, T3: 1763559525997854692, Received: 8120, Lost: 3,
		Gen: 17, State: Accepted, NextMS: 12500, Digest: DigestOf([]byte("inventory")), Flags: []string{"warmup", "maintenance"}, BatchVersions: []uint64{1}, ConfigRev: 12,
	}
}

// heldAck tells a plugin that is to take over what to do, with every field of Work in use, and not to begin.
func heldAck() Ack {
	return Ack{
		Version: 1, Server: "agent-web-1", Seq: 1, T1: 1763559525997744692, State: Accepted, Received: 1, NextMS: 10000, Flags: []string{FlagHold}, ConfigRev: 4611686018427387905,
		Work: &Work{
			Config: json.RawMessage(`{}`), Tags: map[string]string{"dc": "eu"}, EveryMS: 60000, TimeoutMS: 5000, MaxAckPending: 64, Parallel: 4, Order: OrderSource,
			Inputs: []Input{{Stream: "METRICS", Durable: "hot", Filters: []string{"pw.metrics.*.cpu"}}, {Stream: "EVENTS", Durable: "hot", Filters: []string{"pw.events.*.*.down"}},
				{Stream: "METRICS", Durable: "hot~replay", Filters: []string{"pw.metrics.*.cpu"}, End: 4711}, {Stream: "DEAD", Durable: "hot~again", Filters: []string{"pw.again.hot"}, End: 9}},
			Schedule:   &Schedule{Cron: "*/5 * * * *", Timezone: "Europe/Berlin", SplayMS: 30000, From: 1763559525000000000, Until: 1795095525000000000, Count: 1000},
			QueueBytes: 1 << 20, Overflow: OverflowDropOldest, MaxRate: 50000, MaxSeries: 10000,
		},
	}
}

// statusData is an agent's verdict on one of its plugins.
func statusData() PluginData {
	return PluginData{Version: 1, Host: "web-1", Inst: "9f3c1a7e5b2d4c60", Plugin: "disk", Type: DataStatus, ProgramVersion: "1.4.0", Time: 1763559525997744692, Seq: 4,
		Data: Facts{"kind": "collector", "program": "disk", "version": "1.4.0", "state": "running", "restarts": int64(0), "cfg_rev": int64(12)}}
}

func partedFacts() Facts { return Facts{"name": "Größe", "packages": []any{"bash", "coreutils"}} }

// partedData are facts in two parts, cut between two characters. They hold JSON in both encodings.
func partedData() []PluginData {
	data, _ := partedFacts().Encode(JSON)
	whole := PluginData{Version: 1, Host: "web-1", Plugin: "packages", Type: DataInfo, Time: 1763559525997744692, Seq: 5, Data: partedFacts(), Truncated: true, Digest: DigestOf(data)}
	return whole.cut(data, len(data)/2+1)
}
