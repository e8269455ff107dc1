import { element, type Xml } from './xml.js'

/** What an API answers with. Members that are `undefined` are left out. */
export type Json =
  | string
  | number
  | boolean
  | undefined
  | readonly Json[]
  | {
      readonly [name: string]: Json
    }

export type JsonObject = { readonly [name: string]: Json }

const isList = (value: Json): value is readonly Json[] => Array.isArray(value)

/** The form that the RPC gateway gives the same data for callers who did not ask for JSON: lists repeat their name. */
export const jsonAsXml = (name: string, value: Json): readonly Xml[] => {
  if (value === undefined) return []
  if (isList(value)) return value.flatMap((item) => jsonAsXml(name, item))
  if (typeof value !== 'object') return [element(name, value)]
  return [
    element(
      name,
      Object.entries(value).flatMap(([child, content]) => jsonAsXml(child, content)),
    ),
  ]
}
