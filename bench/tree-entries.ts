/**
 * The unpacking of a file tree into a new folder, flushed with `sync -f`.
 */
import type { Entry } from './entry.ts'

const READING = '--trust keys/signer.pub --identity keys/recipient.key --workers $WORKERS'
const EQUAL = 'diff -rq --no-dereference tree out.tree'

export const treeEntries: readonly Entry[] = [
  {
    name: 'osflash-tree',
    group: 'tree',
    kind: 'osflash',
    title: 'osflash unpack, folder',
    needs: [],
    before: 'mkdir out.tree',
    run: `$OSFLASH unpack tree.osimg --to out.tree ${READING}`,
    check: EQUAL,
  },
  {
    name: 'unsquashfs',
    group: 'tree',
    kind: 'peer',
    title: 'unsquashfs -p WORKERS (no decryption)',
    needs: ['unsquashfs', 'mksquashfs'],
    inputs: [
      {
        file: 'tree.squashfs',
        command:
          'mksquashfs tree tree.squashfs -quiet -no-progress' +
          ' -comp zstd -Xcompression-level $LEVEL',
      },
    ],
    run: 'unsquashfs -p $WORKERS -q -n -d out.tree tree.squashfs && sync -f out.tree',
    check: EQUAL,
  },
  {
    name: 'tar',
    group: 'tree',
    kind: 'peer',
    title: 'zstd -dc | tar -x (no decryption)',
    needs: ['tar', 'zstd'],
    inputs: [
      {
        file: 'tree.tar.zst',
        command: 'tar -C tree -cf - . | zstd -q -T0 -$LEVEL -o tree.tar.zst',
      },
    ],
    run: 'mkdir out.tree && zstd -dcq tree.tar.zst | tar -x -C out.tree && sync -f out.tree',
    check: EQUAL,
  },
]
