/** What preflight calls large enough is large enough: on a file system as staging makes it. */
import { randomUUID } from 'node:crypto'
import { truncate, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { describe, expect, test } from 'vitest'
import { STORE_LABEL } from '../../src/flash/places.ts'
import { makeStore, mountStore } from '../../src/flash/store.ts'
import { roomForImage, storeBytesFor } from '../../src/flash/store-shape.ts'
import { run } from '../../src/system/run.ts'
import { GIB, MIB } from '../../src/units.ts'
import { isRoot, loopDevice, scratchFolder } from './host-fixture.ts'

/** For everything but the image. */
const LEAST_FREE_MIB = 50

describe.skipIf(!isRoot)('a store of exactly the size that is asked for (as root)', () => {
  test.each([
    { name: '1 MiB', bytes: MIB },
    { name: '300 MiB', bytes: 300 * MIB },
    { name: '10 GiB', bytes: 10 * GIB },
    { name: '20 GiB', bytes: 20 * GIB },
  ])('has room for an image of $name, and for the rest', async ({ bytes }) => {
    const folder = await scratchFolder()
    const file = join(folder, 'disk')
    await writeFile(file, '')
    await truncate(file, storeBytesFor(bytes))
    const device = await loopDevice(file)
    const uuid = randomUUID()
    await makeStore({ device, uuid, label: STORE_LABEL })
    await using store = await mountStore({ uuid, at: join(folder, 'at') })
    const image = join(store.path, 'image')
    await writeFile(image, '')
    await run(['fallocate', '--keep-size', '--length', String(roomForImage(bytes)), image])
    const { stdout } = await run(['df', '-B1M', '--output=avail', store.path])
    expect(Number(stdout.split('\n')[1])).toBeGreaterThan(LEAST_FREE_MIB)
  })
})

test('the room grows with the image', () => {
  expect(roomForImage(100)).toBe(105)
  expect(storeBytesFor(0)).toBe(68 * MIB)
  expect(storeBytesFor(100 * GIB) / GIB).toBeCloseTo(105.6, 1)
})
