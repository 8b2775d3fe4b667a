package scaffold

// A Kind is one of the three kinds of plugins.
type Kind struct {
	Name string

	does    string // what the plugin does that is written
	section string // of a config
	setting string // as YAML
}

// Kinds returns all kinds.
func Kinds() []*Kind {
	return []*Kind{
		{Name: "collector", section: "collect", does: "It counts the files of a folder.", setting: "path: /tmp"},
		{Name: "processor", section: "process", does: "It gives every point a tag.", setting: "site: lab"},
		{Name: "publisher", section: "publish", does: "It appends points to a file, a line of JSON each.", setting: "path: /var/lib/points.jsonl"},
	}
}
