import { readFile } from 'node:fs/promises'
import { join } from 'node:path'
import { expect, test } from 'vitest'
import { fieldTable } from '../../../scripts/field-table.ts'
import { recipeJsonSchema } from '../../../src/pack/recipe/schema.ts'

const docs = join(import.meta.dirname, '../../../docs')

test('the JSON Schema is that of the program (renew: node scripts/recipe-docs.ts)', async () => {
  const published = JSON.parse(await readFile(join(docs, 'recipe.schema.json'), 'utf8'))
  expect(published).toEqual(recipeJsonSchema())
})

test('docs/recipes.md lists every field (renew: node scripts/recipe-docs.ts)', async () => {
  expect(await readFile(join(docs, 'recipes.md'), 'utf8')).toContain(fieldTable())
})
