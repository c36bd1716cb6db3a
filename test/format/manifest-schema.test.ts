/** The published JSON Schema of manifests. */
import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { z } from 'zod'
import { manifestSchema } from '../../src/format/manifest.ts'

test('is that of the program (node scripts/manifest-schema.ts renews it)', async () => {
  const path = join(import.meta.dirname, '../../docs/manifest.schema.json')
  const published = JSON.parse(await readFile(path, 'utf8'))
  expect(published).toEqual({ title: 'osflash manifest', ...z.toJSONSchema(manifestSchema) })
})
