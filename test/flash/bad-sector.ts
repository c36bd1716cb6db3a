/** A stage that takes no write at one place: its file has a hole there, and no room to fill it. */
import { mkdir } from 'node:fs/promises'
import { dirname, join } from 'node:path'
import { onTestFinished } from 'vitest'
import { run } from '../../src/system/run.ts'
import type { HostFixture } from './host-fixture.ts'

const PAGE_BYTES = 4_096

/** @param offset on the stage, bytes; a multiple of a page */
export async function breakSector({ file, device }: HostFixture, offset: number): Promise<void> {
  const full = join(dirname(file), 'full')
  const copy = join(full, 'stage')
  await mkdir(full)
  await run(['blockdev', '--flushbufs', device])
  await run(['mount', '-t', 'tmpfs', '-o', 'size=32m', 'none', full])
  onTestFinished(async () => {
    // The loop device, which goes later, holds them.
    await run(['umount', '--lazy', file, full])
  })
  await run(['cp', '--sparse=never', file, copy])
  await run(['fallocate', '--punch-hole', '-o', `${offset}`, '-l', `${PAGE_BYTES}`, copy])
  const fill = ['dd', 'if=/dev/zero', `of=${join(full, 'rest')}`, `bs=${PAGE_BYTES}`] as const
  await run(fill, { statuses: [1] })
  // The loop device tells the name of its file, by which the plan knows it.
  await run(['mount', '--bind', copy, file])
  // At once: another test takes the first device that is free.
  await run(['sh', '-c', 'losetup --detach "$0" && losetup "$0" "$1"', device, file])
}
