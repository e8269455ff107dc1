import { Transform, type TransformCallback } from 'node:stream'

/**
 * What `npm test` prints: a line for each file, and each failed assertion with the names above it and what tap says
 * about it. Nothing is redrawn, so that it reads the same in a log.
 */
export default class Reporter extends Transform {
  #rest = ''
  /** The subtest open at each depth; its indentation is four blanks a level. */
  #names: string[] = []
  #detail: number | undefined

  override _transform(piece: Buffer | string, _encoding: BufferEncoding, done: TransformCallback): void {
    const lines = (this.#rest + piece.toString()).split('\n')
    this.#rest = lines.pop() ?? ''
    for (const line of lines) this.#line(line)
    done()
  }

  override _flush(done: TransformCallback): void {
    this.#line(this.#rest)
    done()
  }

  #line(line: string): void {
    const indentation = line.length - line.trimStart().length
    const text = line.trim()
    if (this.#detail !== undefined) {
      this.push(`${line}\n`)
      if (text === '...' && indentation === this.#detail + 2) this.#detail = undefined
      return
    }
    const depth = indentation / 4
    const subtest = /^# Subtest: (.*)/.exec(text)?.[1]
    if (subtest !== undefined) this.#names = [...this.#names.slice(0, depth), subtest]
    else if (/^not ok\b(?!.*# (TODO|SKIP))/.test(text)) {
      const within = depth === 0 ? '' : `${this.#names.slice(0, depth).join(' > ')}\n`
      this.push(`${within}${line}\n`)
      // A file that failed is followed by how it was started; only of one that hung the name is in there.
      if (depth > 0 || text.endsWith('timeout!')) this.#detail = indentation
    } else if (depth === 0 && /^(ok\b|Bail out!|# \{)/.test(text)) this.push(`${text}\n`)
  }
}
