/**
 * The unpacking of file trees into a new folder, flushed with `sync -f`: one of files of all
 * sizes, and one of many small files.
 */
import type { Entry, Group, MadeFile } from './entry.ts'
import { READING, SEALING } from './words.ts'

/** A made tree of many small files; `small.list` is part of the input. */
const smallTree: MadeFile = {
  file: 'small',
  command:
    'mkdir small && tar -C / -c --null -T small.list --mtime=@0 | tar -x -C small' +
    ' && find small -type d -exec touch -d @0 {} +',
}

const treeImage: MadeFile = {
  file: 'tree.osimg',
  command: `$OSFLASH pack tree -o tree.osimg ${SEALING} --level $LEVEL`,
}
const smallImage: MadeFile = {
  file: 'small.osimg',
  command: `$OSFLASH pack small -o small.osimg ${SEALING} --level $LEVEL`,
}

interface TreeSource {
  readonly group: Group
  /** Name of the folder, and of the files packed from it. */
  readonly tree: string
  readonly inputs: readonly MadeFile[]
}

function entriesOf({ group, tree, inputs }: TreeSource): readonly Entry[] {
  const suffix = tree === 'tree' ? '' : `-${group}`
  const check = `diff -rq --no-dereference ${tree} out.tree`
  const squashfs: MadeFile = {
    file: `${tree}.squashfs`,
    command:
      `mksquashfs ${tree} ${tree}.squashfs -quiet -no-progress` +
      ' -comp zstd -Xcompression-level $LEVEL',
  }
  const tarball: MadeFile = {
    file: `${tree}.tar.zst`,
    command: `tar -C ${tree} -cf - . | zstd -q -T0 -$LEVEL -o ${tree}.tar.zst`,
  }
  return [
    {
      name: `osflash-${group}`,
      group,
      kind: 'osflash',
      title: 'osflash unpack, folder',
      needs: [],
      reads: `${tree}.osimg`,
      inputs,
      before: 'mkdir out.tree',
      run: `$OSFLASH unpack ${tree}.osimg --to out.tree ${READING}`,
      check,
    },
    {
      name: `unsquashfs${suffix}`,
      group,
      kind: 'peer',
      title: 'unsquashfs -p WORKERS (no decryption)',
      needs: ['unsquashfs', 'mksquashfs'],
      reads: squashfs.file,
      inputs: [...inputs, squashfs],
      run: `unsquashfs -p $WORKERS -q -n -d out.tree ${squashfs.file} && sync -f out.tree`,
      check,
    },
    {
      name: `tar${suffix}`,
      group,
      kind: 'peer',
      title: 'zstd -dc | tar -x (no decryption)',
      needs: ['tar', 'zstd'],
      reads: tarball.file,
      inputs: [...inputs, tarball],
      run: `mkdir out.tree && zstd -dcq ${tarball.file} | tar -x -C out.tree && sync -f out.tree`,
      check,
    },
  ]
}

export const treeEntries: readonly Entry[] = [
  ...entriesOf({ group: 'tree', tree: 'tree', inputs: [treeImage] }),
  ...entriesOf({ group: 'files', tree: 'small', inputs: [smallTree, smallImage] }),
]
