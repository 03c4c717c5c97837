import { execFileSync } from 'node:child_process'
import { globSync, readFileSync } from 'node:fs'
import { dirname, join } from 'node:path'
import {
  type GraphQLField,
  isEnumType,
  isInputObjectType,
  isInterfaceType,
  isIntrospectionType,
  isObjectType,
  isSpecifiedDirective,
  isSpecifiedScalarType,
} from 'graphql'
import { expect, test } from 'vitest'
import { schema } from '../../src/schema.ts'
import { root } from '../support/project-root.ts'

const guard = 'test/guards/language.test.ts'
const MAX_COMMENT_COLUMNS = 110
const MAX_FILES = 15
const MAX_SUBJECT_LENGTH = 72

/** Words of a private metaphor that the project has given up; each has a standard term. */
const retired =
  /\b(house|houses|door|doors|mend|mends|mended|mending|whoever|told|judge|judges|judged|elder|elders|eldest|junior|juniors|nobody|somebody|patience|patiently)\b/i

const files = globSync(
  ['{src,test,migrations,docs,.ci}/**/*.{ts,md}', 'README.md', 'schema.graphql', '.ci/*'],
  { cwd: root },
).filter((file) => file !== guard)
const linesOf = (file: string) => readFileSync(join(root, file), 'utf8').split('\n')

test('no file uses a word that the project has retired', () => {
  expect(files.length).toBeGreaterThan(700)
  const found = files.flatMap((file) =>
    linesOf(file).flatMap((line, i) => (retired.test(line) ? [`${file}:${i + 1}: ${line}`] : [])),
  )
  expect(found).toEqual([])
})

test(`no line of a comment is longer than ${MAX_COMMENT_COLUMNS} columns`, () => {
  const found = files
    .filter((file) => file.endsWith('.ts'))
    .flatMap((file) =>
      linesOf(file).flatMap((line, i) =>
        /^\s*(\/\/|\/\*|\*)/.test(line) && line.length > MAX_COMMENT_COLUMNS
          ? [`${file}:${i + 1}: ${line.length}`]
          : [],
      ),
    )
  expect(found).toEqual([])
})

test('no docstring begins with a reference to another one', () => {
  const found = files
    .filter((file) => file.endsWith('.ts'))
    .filter((file) => /\/\*\*\s*(\*\s*)?The same\b/.test(linesOf(file).join('\n')))
  expect(found).toEqual([])
})

test('every element of the schema has a description', () => {
  expect(undescribed()).toEqual([])
})

test(`no folder of src or test has more than ${MAX_FILES} files`, () => {
  const counts = new Map<string, number>()
  for (const file of globSync('{src,test}/**/*.ts', { cwd: root }))
    counts.set(dirname(file), (counts.get(dirname(file)) ?? 0) + 1)
  expect([...counts].filter(([, count]) => count > MAX_FILES)).toEqual([])
})

test('subjects of commits name an area, and are short', ({ skip }) => {
  const subjects = subjectsSinceGuard()
  skip(subjects === null, 'this is no clone with a history')
  const isPlain = (subject: string) =>
    subject.length <= MAX_SUBJECT_LENGTH && /^[\w.-]+: [a-z]/.test(subject)
  expect((subjects ?? []).filter((subject) => !isPlain(subject))).toEqual([])
})

/** Returns the path in the schema of each element without a description. */
function undescribed(): string[] {
  const found: string[] = []
  const look = (path: string, { description }: { description?: string | null | undefined }) =>
    description?.trim() || found.push(path)
  const lookAtField = (path: string, field: GraphQLField<unknown, unknown>) => {
    look(path, field)
    for (const argument of field.args) look(`${path}(${argument.name}:)`, argument)
  }
  for (const type of Object.values(schema.getTypeMap())) {
    if (isIntrospectionType(type) || isSpecifiedScalarType(type)) continue
    look(type.name, type)
    if (isObjectType(type) || isInterfaceType(type))
      for (const field of Object.values(type.getFields()))
        lookAtField(`${type.name}.${field.name}`, field)
    if (isInputObjectType(type))
      for (const field of Object.values(type.getFields())) look(`${type.name}.${field.name}`, field)
    if (isEnumType(type))
      for (const value of type.getValues()) look(`${type.name}.${value.name}`, value)
  }
  for (const directive of schema.getDirectives())
    if (!isSpecifiedDirective(directive)) look(`@${directive.name}`, directive)
  return found
}

/** Returns the subjects of the commits after the one that added this guard, or null without a Git history. */
function subjectsSinceGuard(): string[] | null {
  const git = (...args: string[]) =>
    execFileSync('git', args, { cwd: root, encoding: 'utf8' }).trim()
  try {
    const first = git('log', '--diff-filter=A', '--format=%H', '--', guard).split('\n').at(-1)
    if (!first) return null
    return git('log', '--no-merges', '--format=%s', `${first}..HEAD`).split('\n').filter(Boolean)
  } catch {
    return null
  }
}
