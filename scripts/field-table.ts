/**
 * The table of a recipe's fields in docs/recipes.md, from the published JSON Schema.
 *
 * 1. One row a field, named by its dotted path; `[]` is an item of a list.
 * 2. Type, default and description are the schema's own.
 */
import { isMapping } from '../src/pack/recipe/document.ts'
import { recipeJsonSchema } from '../src/pack/recipe/schema.ts'

/** The table as Markdown, without a line end after it. */
export function fieldTable(): string {
  const rows = [...fieldRows(recipeJsonSchema(), '')]
  const head = ['| Field | Type | Default | Meaning |', '|---|---|---|---|']
  return [...head, ...rows].join('\n')
}

function* fieldRows(schema: Readonly<Record<string, unknown>>, path: string): Generator<string> {
  if (!isMapping(schema.properties)) return
  const required = Array.isArray(schema.required) ? schema.required : []
  for (const [key, field] of Object.entries(schema.properties)) {
    if (!isMapping(field)) continue
    const inner = path === '' ? key : `${path}.${key}`
    const isRequired = required.includes(key) && field.default === undefined
    const cells = [`\`${inner}\``, typeOf(field), defaultOf(field, isRequired)]
    yield `| ${[...cells, String(field.description ?? '')].join(' | ')} |`
    yield* fieldRows(field, inner)
    if (isMapping(field.items)) yield* fieldRows(field.items, `${inner}[]`)
  }
}

function typeOf(field: Readonly<Record<string, unknown>>): string {
  if (Array.isArray(field.enum)) return field.enum.map((value) => `\`${value}\``).join(', ')
  if (field.const !== undefined) return `\`${field.const}\``
  if (Array.isArray(field.anyOf)) {
    return field.anyOf.map((choice) => (isMapping(choice) ? typeOf(choice) : '')).join(' or ')
  }
  if (field.type === 'array' && isMapping(field.items)) return `list of ${typeOf(field.items)}`
  if (field.type === 'object') return 'mapping'
  return field.type === 'integer' ? 'number' : String(field.type)
}

function defaultOf(field: Readonly<Record<string, unknown>>, isRequired: boolean): string {
  if (isRequired) return '(required)'
  const value = field.default
  const empty = isMapping(value) && Object.keys(value).length === 0
  if (value === undefined || value === '' || empty) return ''
  if (Array.isArray(value) && value.some(isMapping)) return 'see below'
  return `\`${JSON.stringify(value)}\``
}
