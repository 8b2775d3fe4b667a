package telemetry

import "slices"

// TagKeys appends the key of every tag to buf, whatever level says it, each once. A key that only says "" may be among them.
func (g *Group) TagKeys(buf []string) []string {
	for i := range g.tags {
		buf = append(buf, g.tags[i].Name)
	}
	for _, t := range g.shared {
		if column(g.tags, t.Key) == nil {
			buf = append(buf, t.Key)
		}
	}
	for _, t := range g.batch {
		if column(g.tags, t.Key) == nil && !hasKey(g.shared, t.Key) {
			buf = append(buf, t.Key)
		}
	}
	return buf
}

func hasKey(tags []Tag, key string) bool {
	for _, t := range tags {
		if t.Key == key {
			return true
		}
	}
	return false
}

// DefaultTag gives key=value to every point that does not say key itself. It costs nothing per point: the points look
// through their own "" to the tag of the group.
func (g *Group) DefaultTag(key, text string) {
	key = cleanName(key)
	if text == "" || value(g.shared, key) != "" || value(g.batch, key) != "" {
		return
	}
	g.ownTags()
	g.shared = slices.DeleteFunc(g.shared, func(t Tag) bool { return t.Key == key }) // it says ""
	g.shared = append(g.shared, Tag{key, cleanTag(text)})
}
