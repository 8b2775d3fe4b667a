package config

import (
	"slices"
	"strings"
)

// Suggest returns the name in from that word most likely meant, "" when none is near.
// Near is one typing error for a short word and three for a long one; of equally near names the
// first wins.
func Suggest(word string, from []string) string {
	const longest = 64
	if word == "" || len(word) > longest {
		return ""
	}
	best, least := "", allowance(word)+1
	for _, name := range from {
		if len(name) > longest || name == word {
			continue
		}
		d := distance(plain(word), plain(name))
		if strings.HasPrefix(plain(name), plain(word)+"_") { // creds for creds_file
			d = 1
		}
		if strings.HasPrefix(plain(word), plain(name)+"_") { // queue_size for queue
			d = 1
		}
		if d < least {
			best, least = name, d
		}
	}
	return best
}

// allowance is how many typing errors a word of this length may have.
func allowance(word string) int {
	return min(3, (len(word)+2)/3)
}

// plain forgets what people mix up without thinking of it as a mistake.
func plain(s string) string {
	return strings.ReplaceAll(strings.ToLower(s), "-", "_")
}

// distance counts the letters to insert, delete, replace, or swap with their neighbour to make a into b.
func distance(a, b string) int {
	before, last, row := make([]int, len(b)+1), make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last, row = last, row, before
	}
	return last[len(b)]
}

// didYouMean makes a hint of the nearest name, and otherwise gives the hint it was handed.
func didYouMean(word string, from []string, otherwise string) string {
	for _, s := range []string{elsewhere(word), settingElsewhere(word)} {
		if slices.Contains(from, s) {
			return "did you mean " + s + "?"
		}
	}
	if s := Suggest(word, from); s != "" {
		return "did you mean " + s + "?"
	}
	return otherwise
}

// elsewhere is our key for what other programs of the field call it, "" when it is no such word.
func elsewhere(word string) string {
	switch strings.ToLower(word) {
	case "interval", "period":
		return "every"
	case "labels", "global_tags":
		return "tags"
	case "hostname":
		return "host"
	case "inputs", "sources", "collectors", "receivers":
		return "collect"
	case "processors", "transforms", "pipelines":
		return "process"
	case "outputs", "sinks", "publishers", "exporters":
		return "publish"
	case "input", "source":
		return "from"
	case "command", "cmd", "exec":
		return "run"
	case "plugin", "program", "type":
		return "use"
	case "settings", "options":
		return "config"
	case "warning":
		return "warn"
	case "disabled":
		return "enabled"
	case "user", "runas":
		return "run_as"
	case "resources":
		return "limits"
	case "checksum", "hash":
		return "sha256"
	case "require", "required", "strict":
		return TrustEnforce
	case "discovery", "plugins":
		return "discover"
	case "directories", "folders", "paths":
		return "dirs"
	case "tz":
		return "timezone"
	case "jitter", "collection_jitter":
		return "splay"
	case "mem":
		return "memory"
	case "cpus":
		return "cpu"
	case "nofile", "fds":
		return "files"
	case "pids", "nproc", "tasks":
		return "processes"
	case "nats":
		return "bus"
	case "logging":
		return "log"
	case "http":
		return "web"
	}
	return ""
}

// settingElsewhere is a setting of our built-ins for what Nagios, Telegraf, Prometheus and OpenTelemetry call it, "" when it is none.
func settingElsewhere(word string) string {
	switch strings.ToLower(word) {
	case "scrape_interval", "check_interval", "normal_check_interval", "flush_interval":
		return "every"
	case "retry_interval", "retry_check_interval":
		return "retry_every"
	case "max_check_attempts":
		return "attempts"
	case "service_check_timeout", "check_timeout":
		return "timeout"
	case "data_format":
		return "format"
	case "name_override", "measurement":
		return "series"
	case "signal":
		return "trigger"
	case "service_address", "endpoint", "bind", "address", "addr", "port":
		return "listen"
	case "static_configs":
		return "groups"
	case "file_sd_configs":
		return "target_files"
	case "relabel_configs":
		return "relabel"
	case "metric_relabel_configs":
		return "metric_relabel"
	case "sample_limit":
		return "max_samples"
	case "scrape_native_histograms":
		return "native_histograms"
	case "body_size_limit":
		return "max_body_bytes"
	case "basic_auth":
		return "username"
	case "authorization", "credentials":
		return "bearer_token_file"
	case "directory", "directories":
		return "folders"
	}
	return ""
}

// few lists names for a hint, not all of a long list.
func few(names []string) string {
	const most = 16
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return strings.Join(names[:most], ", ") + " ..."
}
