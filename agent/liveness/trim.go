package liveness

import (
	"strings"
	"unicode/utf8"

	"github.com/pacewire/pacewire/telemetry"
)

// What is kept of one beat at most. An honest one has a tenth of it.
const (
	longestID   = 255  // bytes
	longestText = 1024 // bytes
	mostFlags   = 16
	mostKeys    = 64   // of a map
	mostBytes   = 4096 // of all its keys and values
)

// trim cuts what is kept of a beat to what an honest one has, and leaves out what others keep.
func trim(b *telemetry.Heartbeat) {
	b.Manifest, b.Inventory = nil, nil
	b.Name, b.Boot, b.Owner, b.Bye = cut(b.Name, longestID), cut(b.Boot, longestID), cut(b.Owner, longestID), cut(b.Bye, longestID)
	if longFlags(b.Flags) {
		b.Flags = shortFlags(b.Flags)
	}
	if heavy(b.Load) {
		b.Load = nil
	}
	if b.Plugins != nil && heavyText(b.Plugins.Worst) {
		b.Plugins = &telemetry.PluginCounts{OK: b.Plugins.OK, Fail: b.Plugins.Fail, Late: b.Plugins.Late}
	}
	if s := b.Stats; s != nil && (heavy(s.Errors) || heavy(s.Dropped) || long(s.LastError)) {
		b.Stats = nil
	}
	if f := b.Error; long(f) {
		b.Error = &telemetry.Fault{Code: cut(f.Code, longestID), Message: cut(f.Message, longestText-longestID), AgeMS: f.AgeMS}
	}
}

func long(f *telemetry.Fault) bool { return f != nil && len(f.Code)+len(f.Message) > longestText }

func longFlags(flags []string) bool {
	for _, f := range flags {
		if len(f) > longestID {
			return true
		}
	}
	return cap(flags) > mostFlags
}

func shortFlags(flags []string) []string {
	kept := make([]string, min(len(flags), mostFlags))
	for i := range kept {
		kept[i] = cut(flags[i], longestID)
	}
	return kept
}

func heavy[V any](m map[string]V) bool {
	n := 0
	if len(m) <= mostKeys {
		for key := range m {
			n += len(key)
		}
	}
	return len(m) > mostKeys || n > mostBytes
}

func heavyText(m map[string]string) bool {
	n := 0
	if len(m) <= mostKeys {
		for key, value := range m {
			n += len(key) + len(value)
		}
	}
	return len(m) > mostKeys || n > mostBytes
}

// cut returns at most n bytes of s, whole characters, and does not keep the rest alive.
func cut(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for n > 0 && !utf8.RuneStart(s[n]) {
		n--
	}
	return strings.Clone(s[:n])
}
