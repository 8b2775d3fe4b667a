package config

import (
	"encoding/json"
	"maps"
)

// Schema returns the JSON Schema of a whole config, for editors. What it cannot say (references, cycles, settings of
// commands of one's own) Load checks.
func Schema(programs []Program) map[string]any {
	properties := map[string]any{
		"host":     text("the name of this machine; by default its own"),
		"bus":      busSchema(),
		"every":    duration("the interval of collectors"),
		"tags":     scalars("of every point"),
		"owner":    text("who is asked about plugins without an owner of their own"),
		"site":     text("where the machine stands"),
		"log":      logSchema(),
		"env":      several("the names that ${NAME} may use"),
		"discover": discoverSchema(),
		"hub":      hubSchema(),
		"web":      webSchema(),
	}
	defs := map[string]any{}
	for _, s := range sections {
		properties[s.key] = sectionSchema(s.kind, programs)
		defs[s.kind] = byUse(s.kind, programs)
	}
	schema := object("", properties)
	schema["$schema"], schema["title"], schema["$defs"] = "https://json-schema.org/draft/2020-12/schema", "pacewire config", defs
	return schema
}

func text(description string) map[string]any {
	return map[string]any{"type": "string", "description": description}
}

func duration(description string) map[string]any {
	return map[string]any{"type": "string", "pattern": `^[0-9]`, "description": description + ", such as 10s"}
}

// several is the schema of one name or several.
func several(description string) map[string]any {
	return map[string]any{"type": []string{"string", "array"}, "items": map[string]any{"type": "string"}, "description": description}
}

// scalars is the schema of a map whose values are taken as text.
func scalars(description string) map[string]any {
	return map[string]any{"type": "object", "description": description,
		"additionalProperties": map[string]any{"type": []string{"string", "number", "boolean"}}}
}

// object is the schema of a map with these keys and no others.
func object(description string, properties map[string]any) map[string]any {
	m := map[string]any{"type": "object", "additionalProperties": false, "properties": properties}
	if description != "" {
		m["description"] = description
	}
	return m
}

func busSchema() map[string]any {
	m := object("embedded, one URL or several, or a map", map[string]any{
		"urls":       several("of a bus elsewhere; without them it is embedded"),
		"listen":     text("embedded: where, such as 127.0.0.1:4222"),
		"store":      text("embedded: the folder of its streams"),
		"sync":       text("embedded: always, or how long what is acknowledged may not be on disk yet, such as 1s"),
		"max_store":  text("embedded: how much its streams hold together, such as 2GiB"),
		"max_age":    duration("embedded: how long it keeps points"),
		"creds_file": text("elsewhere: a file with the credentials"),
		"replicas":   count("copies of each stream the servers of a cluster keep; by default 3, of one server 1"),
		"spool":      spoolSchema(),
		"tls": object("elsewhere: the files of an encrypted bus", map[string]any{
			"ca_file": text("whom to trust"), "cert_file": text("who this machine is"), "key_file": text("the key of cert_file"),
		}),
	})
	m["type"], m["items"] = []string{"string", "array", "object"}, map[string]any{"type": "string"}
	return m
}

func spoolSchema() map[string]any {
	m := object("elsewhere: keep here what is on its way there", map[string]any{
		"order":    map[string]any{"enum": []string{SpoolOldest, SpoolLive}, "description": "what goes first after the bus was away"},
		"window":   text("bytes on the way at a time, such as 8MiB"),
		"compress": map[string]any{"type": "boolean", "description": "deflate what goes there; its urls have to be of WebSocket"},
	})
	m["type"] = []string{"boolean", "object"}
	return m
}

func logSchema() map[string]any {
	m := object("level of the log, or level and format", map[string]any{
		"level":  map[string]any{"enum": []string{"debug", "info", "warn", "error"}},
		"format": map[string]any{"enum": []string{"text", "json"}},
	})
	m["type"] = []string{"string", "object"}
	return m
}

// sectionSchema is the schema of the plugins of one kind. What use names decides about the settings, or else the plugin's name; a
// command's stand under config.
func sectionSchema(kind string, programs []Program) map[string]any {
	used := map[string]any{"$ref": "#/$defs/" + kind}
	commands := plugin("", common(kind))
	use, run := has("use"), has("run")
	attached := has("attached")
	attached["properties"] = map[string]any{"attached": map[string]any{"const": true}}
	called := map[string]any{}
	for _, p := range programs {
		if p.Kind == kind {
			called[p.Name] = choose(use, used, choose(run, commands, choose(attached, open(kind), settings(p))))
		}
	}
	return map[string]any{"type": []string{"object", "null"}, "properties": called,
		"additionalProperties": choose(use, used, choose(run, commands, open(kind)))}
}

// has is the schema of a map with a key.
func has(key string) map[string]any {
	return map[string]any{"type": "object", "required": []string{key}}
}

// choose is the schema then where condition holds, and otherwise the other one.
func choose(condition, then, otherwise map[string]any) map[string]any {
	return map[string]any{"if": condition, "then": then, "else": otherwise}
}

// byUse is the schema of the plugins whose use is a built-in of kind.
func byUse(kind string, programs []Program) map[string]any {
	all := []any{open(kind)} // of a program pacewire-<use> the settings are not known
	for _, p := range programs {
		if p.Kind == kind {
			is := map[string]any{"properties": map[string]any{"use": map[string]any{"const": p.Name}}}
			all = append(all, map[string]any{"if": is, "then": settings(p)})
		}
	}
	return map[string]any{"allOf": all}
}

// settings is the schema of a plugin that runs p: its own settings beside those that every plugin has, or under config.
func settings(p Program) map[string]any {
	var schema map[string]any
	if json.Unmarshal(p.Schema, &schema) != nil || schema["properties"] == nil {
		return open(p.Kind) // without a schema every setting is as good as another
	}
	properties := common(p.Kind)
	properties["config"] = schema
	own, _ := schema["properties"].(map[string]any)
	maps.Copy(properties, own)
	return plugin(p.Summary, properties)
}

// plugin is the schema of a plugin with these keys and no others.
func plugin(description string, properties map[string]any) map[string]any {
	m := object(description, properties)
	m["type"] = []string{"object", "null"}
	return m
}

// open is the schema of a plugin whose settings are not known.
func open(kind string) map[string]any {
	return map[string]any{"type": []string{"object", "null"}, "properties": common(kind)}
}

// common is the schema of the keys that every plugin of a kind has; false is that of a key which it cannot have.
func common(kind string) map[string]any {
	keys := everyKey()
	for _, key := range useless(kind) {
		keys[key] = false
	}
	if kind == Collector {
		keys["replicas"] = atMost(1, count("processes: a collector has one"))
	}
	return keys
}

// startForm is what start may be.
const startForm = `^(new|all|[0-9][0-9.a-zµ]* ago|[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt].+)$`

// everyKey is the schema of the keys of plugins.
func everyKey() map[string]any {
	return map[string]any{
		"use": text("the program, if the plugin is not called like it"), "run": several("a command, instead of a program"),
		"from": several("the plugins whose points it gets"), "on": several("the types of events that it gets"),
		"config": map[string]any{"type": "object", "description": "settings of the program"},
		"every":  duration("the interval"), "cron": text("times, instead of every"), "timeout": duration("of one call"),
		"tags": scalars("of its points"), "owner": text("who is asked about it"),
		"enabled":  map[string]any{"type": "boolean"},
		"start":    map[string]any{"type": "string", "pattern": startForm, "description": "where a new reader begins: new, all, 24h ago, or a time that has passed"},
		"replicas": atMost(mostProcesses, count("processes, which share the work")), "parallel": atMost(mostProcesses, count("workers in its process")),
		"env": several("names of the environment that its process gets"),

		"schedule": scheduleSchema(), "limits": limitsSchema(),
		"run_as":        map[string]any{"type": []string{"string", "integer"}, "description": "the user of its process"},
		"on_agent_exit": map[string]any{"enum": []string{"stop", "keep"}, "description": "whether its process goes on when the agent ends: not with the embedded bus, which ends too"},
		"sha256":        map[string]any{"type": "string", "pattern": sha256Form.text, "description": "of its executable: another one is not run"},
		"attached":      map[string]any{"type": "boolean", "description": "somebody else starts it"},

		"order":      map[string]any{"enum": []string{"source"}, "description": "the batches of one source are worked on one after the other"},
		"queue":      text("bytes of a collector that may wait for the bus, such as 16MiB"),
		"overflow":   map[string]any{"enum": []string{"block", "drop_oldest", "drop_new"}, "description": "what becomes of more than that"},
		"max_rate":   atMost(mostRate, count("points a second it may send; more are dropped and counted")),
		"max_series": atMost(mostSeries, count("series at a time it may send; points of more are dropped and counted")),
	}
}

func scheduleSchema() map[string]any {
	return object("when a collector is asked", map[string]any{
		"cron":     text("times, instead of every: minute, hour, day, month, weekday, with seconds first where there are six"),
		"timezone": text("whose clock cron, from and until mean, such as Europe/Berlin; by default the machine's"),
		"align":    map[string]any{"type": "boolean", "description": "at multiples of every on the clock"},
		"splay":    duration("over which the hosts are spread"),
		"from":     text("the first time or day"), "until": text("the time or day at which it is over"),
		"count": count("times"),
	})
}

func limitsSchema() map[string]any {
	return object("of all its processes", map[string]any{
		"memory": text("such as 200MiB"),
		"cpu":    map[string]any{"type": []string{"string", "number"}, "description": "50% of a core, or 1.5 cores"},
		"files":  count("files may be open"), "processes": count("processes and threads"),
	})
}

func hubSchema() map[string]any {
	return object("how hosts are judged", map[string]any{
		"interval":    duration("between the beats of an agent"),
		"overdue":     intervals("until a host is OVERDUE"),
		"down":        intervals("until a host is DOWN"),
		"spread":      orNone("over which hosts come back after the bus was away"),
		"warmup":      orNone("after a start of the hub, besides down, without verdicts"),
		"forget":      orNone("until a host that is DOWN is dropped; 0: never"),
		"forget_left": duration("until a host that has LEFT is dropped"),
		"max_hosts":   count("hosts are watched"),
		"max_beats":   count("beats a second are taken"),
	})
}

// orNone is the schema of a duration that may be 0.
func orNone(description string) map[string]any {
	m := duration(description)
	m["type"] = []string{"string", "integer"}
	return m
}

func intervals(until string) map[string]any {
	return map[string]any{"type": "number", "minimum": 1.5, "description": "intervals without a beat " + until}
}

func webSchema() map[string]any {
	m := object("where the API is served, or off", map[string]any{"listen": text("host:port of this machine")})
	m["type"], m["pattern"] = []string{"object", "string"}, "^off$"
	return m
}

func discoverSchema() map[string]any {
	return object("programs besides the built-ins", map[string]any{
		"dirs":       several("the folders that they are in"),
		"autostart":  map[string]any{"type": "boolean", "description": "run those that no plugin uses, under their own names"},
		"trust":      map[string]any{"enum": []string{TrustOff, TrustWarn, TrustEnforce}, "description": "what becomes of programs that are not signed, or that others could change"},
		"keys":       text("the folder of the public keys of who may sign, *.pem"),
		"remote_run": map[string]any{"type": "boolean", "description": "on a bus of others: let those who can write there load and swap plugins; without it that is refused"},
	})
}

func count(of string) map[string]any {
	return map[string]any{"type": "integer", "minimum": 1, "description": "how many " + of}
}

// atMost bounds a schema of numbers.
func atMost(most int, m map[string]any) map[string]any {
	m["maximum"] = most
	return m
}
