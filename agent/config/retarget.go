package config

import (
	"fmt"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Retarget returns the piece with another program or command in its entry, and with its pin or without one. What else stands
// in the entry stays, but settings beside use: go below config: when a command is to have them.
func (p Piece) Retarget(use string, run []string, sha256 string) (Piece, error) {
	section, e, ok := p.entry()
	if !ok {
		return p, fmt.Errorf("entry of %s: it is no map of settings", p.Plugin)
	}
	list := without(entries(e.val), "sha256")
	switch {
	case len(run) > 0:
		list = append(settingsBelow(without(list, "use", "run")), set("run", listNode(run)))
	case use != "":
		list = append(without(list, "use", "run"), set("use", textNode(use)))
	}
	if sha256 != "" {
		list = append(list, set("sha256", textNode(sha256)))
	}
	e.val = mapNode(list)
	to, err := pieceOf(section, e)
	to.Replaces = p.Replaces
	return to, err
}

// entry finds the plugin in the text of its piece.
func (p Piece) entry() (section string, found entry, ok bool) {
	for _, top := range entries(parsed(Source{Text: p.Text}, secretPattern(nil)).root) {
		for _, e := range entries(top.val) {
			if e.name == p.Plugin {
				return top.name, e, e.val.Kind == yaml.MappingNode || empty(e.val)
			}
		}
	}
	return "", entry{}, false
}

// settingsBelow moves the settings of a plugin below config.
func settingsBelow(list []entry) []entry {
	var common, settings []entry
	for _, e := range list {
		switch {
		case e.name == "config":
			settings = append(settings, entries(e.val)...)
		case slices.Contains(commonKeys, e.name):
			common = append(common, e)
		default:
			settings = append(settings, e)
		}
	}
	if len(settings) > 0 {
		common = append(common, set("config", mapNode(settings)))
	}
	return common
}

func without(list []entry, keys ...string) []entry {
	return slices.DeleteFunc(list, func(e entry) bool { return slices.Contains(keys, e.name) })
}

func set(key string, val *yaml.Node) entry { return entry{key, textNode(key), val} }

func textNode(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

func listNode(texts []string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.SequenceNode, Tag: "!!seq", Style: yaml.FlowStyle}
	for _, text := range texts {
		n.Content = append(n.Content, textNode(text))
	}
	return n
}

func mapNode(list []entry) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, e := range list {
		n.Content = append(n.Content, e.key, e.val)
	}
	return n
}
