package overlay

// what is said in the log of what is over.
func (e ended) what() string {
	switch {
	case e.turn == nil:
		return "a token"
	case e.turn.Confirm:
		return "a mode that nobody confirmed: it goes back to what was before"
	case e.turn.Paused:
		return "a pause"
	}
	return "a mode"
}

func (e ended) attrs() []any {
	attrs := []any{"what", e.what(), "container", e.name, "uid", e.stamp.By, "until", e.stamp.Until}
	if e.id == "" {
		attrs[3] = "all"
	}
	if e.turn != nil {
		return append(attrs, "mode", e.turn.Mode.String())
	}
	return append(attrs, "token", e.token.String())
}
