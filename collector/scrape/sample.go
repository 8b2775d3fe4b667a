package scrape

import (
	"strings"

	"github.com/pacewire/pacewire/internal/decode/prometheus"
	"github.com/pacewire/pacewire/telemetry"
)

const exported = "exported_"

// sample brings the labels of a sample together with those of its target, and reports whether the rules keep it.
func (w *worker) sample(s *prometheus.Sample) bool {
	l := (*labels)(&s.Labels)
	if !w.cfg.HonorLabels {
		w.export(*l)
	}
	if len(w.metric) == 0 {
		return true
	}
	for _, t := range w.target.tags {
		if l.value(t.Key) == "" {
			l.set(t.Key, t.Value)
		}
	}
	l.set(nameLabel, s.Name)
	if !l.relabel(w.metric) {
		return false
	}
	s.Name = l.value(nameLabel)
	kept := (*l)[:0]
	for _, t := range *l {
		if !strings.HasPrefix(t.Key, "__") {
			kept = append(kept, t)
		}
	}
	*l = kept
	return s.Name != ""
}

// export gives labels that the target has too another name.
func (w *worker) export(l labels) {
	for i := range l {
		if !w.target.has(l[i].Key) || l[i].Value == "" {
			continue
		}
		key := exported + l[i].Key
		for l.find(key) >= 0 || w.target.has(key) {
			key = exported + key
		}
		l[i].Key = key
	}
}

// has reports whether key is a tag of the target. Each has a host, which is ours unless it says another one.
func (t *target) has(key string) bool {
	return key == "host" || labels(t.tags).find(key) >= 0
}

// tagMap returns the tags of the target for Batch.Add.
func (t *target) tagMap() telemetry.Tags {
	tags := make(telemetry.Tags, len(t.tags))
	for _, tag := range t.tags {
		tags[tag.Key] = tag.Value
	}
	return tags
}
