/** Planning the writing of an image of a thousand frames, and proving that no writes overlap. */
import { open } from 'node:fs/promises'
import { join } from 'node:path'
import { test } from 'vitest'
import { openFileSource } from '../../src/deliver/file.ts'
import { packImage } from '../../src/pack/image/pack.ts'
import { GIB, MIB } from '../../src/units.ts'
import { openImage } from '../../src/unpack/image.ts'
import { loadPayloads } from '../../src/unpack/payload.ts'
import { checkPlan, planDisk } from '../../src/unpack/plan.ts'
import { makeFolder, makeKeys, makeOptions, range } from '../../test/pack/image/fixtures.ts'
import { gptLayout, makeDiskSource } from '../../test/unpack/disk-fixtures.ts'

const BYTES = 4 * GIB

test('plan of 4 GiB', async ({ bench }) => {
  await using folder = await makeFolder()
  const regions = [{ name: 'root', offset: 4 * MIB, raw: new Uint8Array(0) }]
  const source = await makeDiskSource({
    folder: folder.path,
    regions,
    disk: gptLayout(BYTES + 16 * MIB),
  })
  await using raw = await open(join(folder.path, 'root.raw'), 'w')
  // A written block in every frame: each is one of its own.
  for (let at = 0; at < BYTES; at += 4 * MIB) await raw.write(Buffer.alloc(4096, 1), 0, 4096, at)
  await raw.truncate(BYTES)
  const output = join(folder.path, 'a.osimg')
  const payloads = source.payloads.map((one) => ({ ...one, range: range(0, BYTES) }))
  await packImage({ ...source, payloads }, makeOptions(await makeKeys(), output))
  await using file = await openFileSource(output)
  const image = await openImage(file, undefined)
  const loaded = await loadPayloads(image)
  const target = { bytes: BYTES + GIB }
  const plan = planDisk(image.manifest, loaded, target)
  await bench.compare(
    bench('plan', () => void planDisk(image.manifest, loaded, target)),
    bench('check', () => checkPlan(plan)),
  )
})
