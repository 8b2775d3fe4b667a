package config

import (
	"fmt"

	"go.yaml.in/yaml/v3"
)

// Retarget returns the piece with another program or command in its entry, and with its pin or without one. What else stands
// in the entry stays.
func (p Piece) Retarget(use string, run []string, sha256 string) (Piece, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal(p.Text, &doc); err != nil {
		return p, fmt.Errorf("entry of %s: %w", p.Plugin, err)
	}
	entry := entryNode(&doc, p.Plugin)
	if entry == nil {
		return p, fmt.Errorf("entry of %s: it is no map of settings", p.Plugin)
	}
	drop(entry, "sha256")
	if use != "" || len(run) > 0 {
		drop(entry, "use", "run")
	}
	if use != "" {
		put(entry, "use", use)
	}
	if len(run) > 0 {
		put(entry, "run", run)
	}
	if sha256 != "" {
		put(entry, "sha256", sha256)
	}
	text, err := yaml.Marshal(&doc)
	if err != nil {
		return p, fmt.Errorf("entry of %s: %w", p.Plugin, err)
	}
	p.Text = text
	return p, nil
}

// entryNode finds the map of a plugin's settings in a document of one plugin.
func entryNode(doc *yaml.Node, name string) *yaml.Node {
	if len(doc.Content) == 0 {
		return nil
	}
	for _, section := range entries(doc.Content[0]) {
		for _, plugin := range entries(section.val) {
			if plugin.name == name && empty(plugin.val) {
				*plugin.val = yaml.Node{Kind: yaml.MappingNode}
			}
			if plugin.name == name && plugin.val.Kind == yaml.MappingNode {
				return plugin.val
			}
		}
	}
	return nil
}

// drop removes keys from a map.
func drop(m *yaml.Node, keys ...string) {
	for _, key := range keys {
		for i := 0; i < len(m.Content); i += 2 {
			if m.Content[i].Value == key {
				m.Content = append(m.Content[:i], m.Content[i+2:]...)
				break
			}
		}
	}
}

// put adds a key that the map does not have.
func put(m *yaml.Node, key string, value any) {
	var k, v yaml.Node
	k.SetString(key)
	_ = v.Encode(value) // texts and lists of texts can be encoded
	m.Content = append(m.Content, &k, &v)
}
