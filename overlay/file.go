package overlay

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/dockerwall/dockerwall/disk"
	"github.com/dockerwall/dockerwall/policy"
	"github.com/dockerwall/dockerwall/sortby"
)

const (
	fileVersion = "v1"
	fileKind    = "Overlay"
	maxFile     = 32 << 20 // bytes; MaxAll tokens have at most half of it
	maxName     = 256      // bytes of a container's name; Docker has no limit, a host name's is 64
)

var (
	errBroken = errors.New("the file is broken")
	errNewer  = errors.New("it was written by a newer dockerwall, and is left alone")
)

// The file is one object. Ends are nanoseconds since the boot in which it was written; times are of the wall clock.
type (
	fileObject struct {
		APIVersion string   `json:"apiVersion"`
		Kind       string   `json:"kind"`
		Spec       fileSpec `json:"spec"`
	}
	fileSpec struct {
		Boot       string          `json:"boot,omitempty"`
		Host       fileMode        `json:"host,omitzero"`
		Containers []fileContainer `json:"containers"`
	}
	fileContainer struct {
		ID     string      `json:"id"`
		Name   string      `json:"name"`
		Tokens []fileToken `json:"tokens,omitempty"`
		Mode   fileMode    `json:"mode,omitzero"`
	}
	fileMode struct {
		Set  *fileSwitch `json:"set,omitempty"`
		Temp *fileSwitch `json:"temporary,omitempty"`
	}
	fileToken struct {
		Token string `json:"token"`
		fileStamp
	}
	fileSwitch struct {
		Mode    string `json:"mode"`
		Paused  bool   `json:"paused,omitempty"`
		Confirm bool   `json:"confirm,omitempty"`
		fileStamp
	}
	fileStamp struct {
		By    uint32        `json:"by"`
		At    time.Time     `json:"at"`
		Until time.Time     `json:"until,omitzero"`
		End   time.Duration `json:"end,omitempty"`
	}
)

// replace writes the file in one step, see [disk.Replace].
func replace(path string, text []byte) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return fmt.Errorf("make --state-dir: %w", err)
	}
	err := disk.Replace(path, func(w io.Writer) error {
		_, err := w.Write(text)
		return err
	})
	if err != nil {
		return fmt.Errorf("write %s: %w", path, err)
	}
	return nil
}

func encode(c content, boot string) ([]byte, error) {
	spec := fileSpec{Boot: boot, Host: modeOut(c.host), Containers: []fileContainer{}}
	for _, id := range slices.Sorted(maps.Keys(c.containers)) {
		one := c.containers[id]
		out := fileContainer{ID: id, Name: one.name, Mode: modeOut(one.mode)}
		for _, g := range one.grants {
			out.Tokens = append(out.Tokens, fileToken{g.String(), stampOut(g.Stamp, g.end)})
		}
		spec.Containers = append(spec.Containers, out)
	}
	var text bytes.Buffer
	e := json.NewEncoder(&text)
	e.SetIndent("", " ")
	if err := e.Encode(fileObject{fileVersion, fileKind, spec}); err != nil {
		return nil, err
	}
	if text.Len() > maxFile {
		return nil, fmt.Errorf("what is changed at run time would have %d bytes, at most %d can be kept", text.Len(), maxFile)
	}
	return text.Bytes(), nil
}

func modeOut(m mode) (out fileMode) {
	if m.set != nil {
		out.Set = &fileSwitch{m.set.Mode.String(), m.set.Paused, m.set.Confirm, stampOut(m.set.Stamp, 0)}
	}
	if m.temp != nil {
		out.Temp = &fileSwitch{m.temp.Mode.String(), m.temp.Paused, m.temp.Confirm, stampOut(m.temp.Stamp, m.temp.end)}
	}
	return out
}

func stampOut(s Stamp, end time.Duration) fileStamp { return fileStamp{s.By, s.At, s.Until, end} }

// readFile is empty when there is no file. The error is [errBroken] for one that is not in all of it as it was written.
func readFile(path, boot string, now instant) (content, error) {
	file, err := disk.Open(path, maxFile)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return content{}, nil
	case errors.Is(err, disk.ErrTooLarge):
		return content{}, fmt.Errorf("read %s: %w: %w", path, errBroken, err)
	case err != nil:
		return content{}, fmt.Errorf("read %s: %w", path, err)
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxFile+1))
	if err != nil {
		return content{}, fmt.Errorf("read %s: %w", path, err)
	}
	c, err := decode(text, boot, now)
	if err != nil {
		return content{}, fmt.Errorf("read %s: %w", path, err)
	}
	return c, nil
}

// decode reads a file, without what is over.
func decode(text []byte, boot string, now instant) (content, error) {
	var head struct{ APIVersion, Kind string }
	if err := json.Unmarshal(text, &head); err != nil {
		return content{}, fmt.Errorf("%w: %w", errBroken, err)
	}
	if head.Kind == fileKind && head.APIVersion != fileVersion && strings.HasPrefix(head.APIVersion, "v") {
		return content{}, errNewer
	}
	var object fileObject
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	if err := in.Decode(&object); err != nil {
		return content{}, fmt.Errorf("%w: %w", errBroken, err)
	}
	if object.Kind != fileKind || object.APIVersion != fileVersion {
		return content{}, fmt.Errorf("%w: it is %.40q of version %.40q", errBroken, object.Kind, object.APIVersion)
	}
	r := reading{now: now, same: boot != "" && object.Spec.Boot == boot}
	c, err := r.spec(object.Spec)
	if err != nil {
		return content{}, fmt.Errorf("%w: %w", errBroken, err)
	}
	return c, nil
}

// reading knows the moment at which a file is read.
type reading struct {
	now  instant
	same bool // it was written in this boot
}

func (r reading) spec(s fileSpec) (content, error) {
	var out content
	var err error
	if out.host, err = r.mode(s.Host); err != nil {
		return content{}, fmt.Errorf("the host: %w", err)
	}
	seen := map[string]bool{}
	for _, c := range s.Containers {
		one, err := r.container(c)
		if err == nil && seen[c.ID] {
			err = errors.New("it is there twice")
		}
		if err != nil {
			return content{}, fmt.Errorf("container %.70q: %w", c.ID, err)
		}
		seen[c.ID] = true
		out = out.with(c.ID, one)
	}
	if len(seen) > MaxContainers || out.tokens() > MaxAll {
		return content{}, errors.New("it has more containers or tokens than there can be")
	}
	return out, nil
}

func (r reading) container(c fileContainer) (container, error) {
	if len(c.ID) != 64 || strings.Trim(c.ID, "0123456789abcdef") != "" {
		return container{}, errors.New("this is no ID")
	}
	m, err := r.mode(c.Mode)
	if err != nil {
		return container{}, err
	}
	out := container{name: c.Name[:min(len(c.Name), maxName)], mode: m}
	seen := map[policy.Token]bool{}
	for _, t := range c.Tokens {
		g, counts, err := r.grant(t)
		if err == nil && seen[g.Token] {
			err = errors.New("it is there twice")
		}
		if err != nil {
			return container{}, fmt.Errorf("token %.70q: %w", t.Token, err)
		}
		seen[g.Token] = true
		if counts {
			out.grants = append(out.grants, g)
		}
	}
	sortby.Func(out.grants, func(x, y grant) int { return x.Compare(y.Token) })
	return out, out.check()
}

func (r reading) grant(t fileToken) (g grant, counts bool, err error) {
	entries := anyGroup().Entries(t.Token)
	if len(entries) != 1 || entries[0].Token.String() != t.Token {
		return grant{}, false, errors.New("this is no token")
	}
	stamp, end, counts, err := r.stamp(t.fileStamp, !entries[0].Deny)
	return grant{Grant{entries[0].Token, stamp}, end}, counts, err
}

func (r reading) mode(m fileMode) (out mode, err error) {
	set, err := r.turn(m.Set)
	if err != nil {
		return mode{}, err
	}
	if out.temp, err = r.turn(m.Temp); err != nil {
		return mode{}, err
	}
	if m.Set != nil && (!m.Set.Until.IsZero() || m.Set.Paused || m.Set.Confirm) || m.Temp != nil && m.Temp.Until.IsZero() {
		return mode{}, errors.New("a mode for good has an end, or one for a while has none")
	}
	if set != nil {
		out.set = &set.Switch
	}
	return out, nil
}

// turn is nil for what does not count any more.
func (r reading) turn(s *fileSwitch) (*turn, error) {
	if s == nil {
		return nil, nil
	}
	out := turn{Switch: Switch{Paused: s.Paused, Confirm: s.Confirm}}
	switch s.Mode {
	case policy.ModeEnforce.String():
		out.Mode = policy.ModeEnforce
	case policy.ModeAudit.String():
		out.Mode = policy.ModeAudit
	default:
		return nil, fmt.Errorf("%.40q is no mode", s.Mode)
	}
	if s.Paused && (s.Confirm || out.Mode != policy.ModeAudit) {
		return nil, errors.New("a pause is not as pauses are")
	}
	var counts bool
	var err error
	if out.Stamp, out.end, counts, err = r.stamp(s.fileStamp, out.Mode != policy.ModeEnforce); err != nil || !counts {
		return nil, err
	}
	return &out, nil
}

// stamp reads when something was said and when it ends, and whether it still counts.
func (r reading) stamp(s fileStamp, opens bool) (stamp Stamp, end time.Duration, counts bool, err error) {
	stamp = Stamp{s.By, s.At, s.Until}
	switch {
	case s.At.IsZero():
		return stamp, 0, false, errors.New("it does not say since when")
	case s.Until.IsZero() != (s.End == 0), s.End < 0:
		return stamp, 0, false, errors.New("its end is not whole")
	case !s.Until.IsZero() && (s.Until.Before(s.At) || s.Until.Sub(s.At) > MaxFor+time.Second):
		return stamp, 0, false, errors.New("its end is not one that could be asked for")
	case !r.same:
		end, counts = r.now.resume(stamp, opens)
		return stamp, end, counts, nil
	case s.End > r.now.since+MaxFor:
		return stamp, 0, false, errors.New("its end is not one that could be asked for")
	}
	return stamp, s.End, !r.now.over(s.End), nil
}
