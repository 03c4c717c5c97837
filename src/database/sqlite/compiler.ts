import { SqliteQueryCompiler } from 'kysely'

/**
 * Writes +? where Kysely writes ?: the same value, at which the planner does not look. It would look to choose between indexes by it, and
 * so each time plan the statement anew, which takes longer than most of them run (https://sqlite.org/c3ref/prepare.html). What a partial
 * index is to be chosen by is written out: `sql.lit`.
 */
export class StablePlanCompiler extends SqliteQueryCompiler {
  protected override getCurrentParameterPlaceholder(): string {
    return '+?'
  }
}
