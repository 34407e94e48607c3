package lab

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func TestClosureFollowsProgramsAndLibraries(t *testing.T) {
	const text = `docker.io
 |Depends: debconf
  Depends: <debconf-2.0>
    cdebconf
    debconf
  Depends: libc6
  Depends: containerd
  Depends: tini-static
debconf
  PreDepends: libdebconf
libc6
  Depends: libgcc-s1
containerd
  Depends: runc
  Depends: libc6
tini-static
libgcc-s1
  Depends: gcc-base
  Depends: libc6
runc
  PreDepends: libseccomp2
libseccomp2
gcc-base
  Depends: libunwanted
`
	want := []string{"docker.io", "libc6", "containerd", "tini-static", "libgcc-s1", "runc", "libseccomp2"}
	if got := closure(text, []string{"docker.io"}); !slices.Equal(got, want) {
		t.Errorf("got %q, want %q", got, want)
	}
}

func TestAnEngineThatWasMovedIsNotWhole(t *testing.T) {
	Require(t)
	dir, err := FetchNewest(t.Context())
	if err != nil {
		Cannot(t, "needs the newest Docker Engine ("+err.Error()+")")
	}
	moved := filepath.Join(t.TempDir(), "moved")
	if err := os.Symlink(dir, moved); err != nil {
		t.Fatal(err)
	}
	if !whole(dir) {
		t.Error("the fetched Engine is not whole")
	}
	if whole(moved) {
		t.Error("whole where its programs name the loader of another folder")
	}
}
