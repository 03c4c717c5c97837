import { SqliteQueryCompiler } from 'kysely'

/**
 * Compiles parameters to +? instead of ?, which hides the value from the planner. Otherwise SQLite would
 * choose indexes by the bound value and re-plan the statement when it changes, which takes longer than most
 * statements run (https://sqlite.org/c3ref/prepare.html). Use `sql.lit` for values that select a partial
 * index.
 */
export class StablePlanCompiler extends SqliteQueryCompiler {
  protected override getCurrentParameterPlaceholder(): string {
    return '+?'
  }
}
