package config

import (
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"go.yaml.in/yaml/v3"
)

// Amend returns a piece that defines a plugin of sources anew, with some keys changed: a value is what JSON can say, nil
// removes the key. A new use takes the place of run and the other way round; beside run the settings go below config.
func Amend(sources []Source, plugin string, change map[string]any) (Piece, error) {
	section, e, from := lookUp(sources, plugin)
	if from == nil {
		return Piece{}, fmt.Errorf("no config has a plugin %s: load one", plugin)
	}
	change = maps.Clone(change)
	switch {
	case change["run"] != nil:
		change["use"] = nil
		e.val = settingsBelow(e.val)
	case change["use"] != nil:
		change["run"] = nil
	}
	list := entries(e.val)
	for _, key := range slices.Sorted(maps.Keys(change)) {
		list = slices.DeleteFunc(list, func(e entry) bool { return e.name == key })
		if change[key] == nil {
			continue
		}
		val, err := valueNode(change[key])
		if err != nil {
			return Piece{}, fmt.Errorf("plugin %s: %s: %w", plugin, key, err)
		}
		list = append(list, entry{key, textNode(key), val})
	}
	e.val = mapNode(list)
	p, err := pieceOf(section, e)
	p.Replaces = !from.Loaded || from.Replaces
	return p, err
}

// lookUp finds the definition of a plugin that counts: the last one.
func lookUp(sources []Source, plugin string) (section string, found entry, from *Source) {
	for i := range slices.Backward(sources) {
		for _, top := range entries(parsed(sources[i], secretPattern(nil)).root) {
			_, ok := kindOf(top.name)
			for _, e := range entries(top.val) {
				if ok && e.name == plugin {
					return top.name, e, &sources[i]
				}
			}
		}
	}
	return "", entry{}, nil
}

// settingsBelow moves the settings of a plugin below config.
func settingsBelow(n *yaml.Node) *yaml.Node {
	var common, settings []entry
	for _, e := range entries(n) {
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
		common = append(common, entry{"config", textNode("config"), mapNode(settings)})
	}
	return mapNode(common)
}

func mapNode(list []entry) *yaml.Node {
	n := &yaml.Node{Kind: yaml.MappingNode, Tag: "!!map"}
	for _, e := range list {
		n.Content = append(n.Content, e.key, e.val)
	}
	return n
}

// valueNode makes a node of a value, by way of JSON, which is YAML.
func valueNode(v any) (*yaml.Node, error) {
	text, err := json.Marshal(v)
	if err != nil {
		return nil, err
	}
	var doc yaml.Node
	if err := yaml.Unmarshal(text, &doc); err != nil {
		return nil, err
	}
	return doc.Content[0], nil
}
