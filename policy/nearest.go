package policy

import "strings"

// Resembles returns which label a key was most likely meant to be that is none of ours, such as dockerwal.outbound,
// dockerwall_outbound or com.dockerwall.outbound; "" when it is ours, or like none.
func Resembles(key string) string {
	if IsLabel(key) || len(key) > 64 {
		return ""
	}
	near := strings.Map(func(r rune) rune {
		if strings.ContainsRune("_-/: ", r) {
			return '.'
		}
		return r
	}, strings.ToLower(strings.TrimSpace(key)))
	near = strings.Replace(near, "docker.wall", "dockerwall", 1)
	if i := strings.LastIndex(near, labelPrefix); i >= 0 {
		return nearest(near[i:], LabelOutbound, LabelMode, LabelDeny)
	}
	for _, label := range []string{LabelOutbound, LabelMode, LabelDeny} {
		if Distance(near, label) <= 2 {
			return label
		}
	}
	return ""
}

// nearest returns which of the words differs least from s, or "" when the two differ in more than half
// of what follows the prefix that all share.
func nearest(s string, words ...string) string {
	best, found := len(s), ""
	for _, w := range words {
		if len(s) > 2*len(w) {
			continue
		}
		if d := Distance(s, w); d < best && d <= (max(len(s), len(w))-len(labelPrefix))/2 {
			best, found = d, w
		}
	}
	return found
}

// Distance is how many bytes must be inserted, removed or replaced to make b of a (Levenshtein), for whoever asks what was
// meant. Its work is the product of both lengths.
func Distance(a, b string) int {
	row := make([]int, len(b)+1)
	for j := range row {
		row[j] = j
	}
	for i := range len(a) {
		diagonal := row[0]
		row[0] = i + 1
		for j := range len(b) {
			replaced := diagonal
			if a[i] != b[j] {
				replaced++
			}
			diagonal = row[j+1]
			row[j+1] = min(replaced, row[j]+1, row[j+1]+1)
		}
	}
	return row[len(b)]
}
