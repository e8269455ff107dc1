import { type EdgeProduct, edgeActions } from '../aliyun/edge-domains.js'
import { edgeFunctionActions } from '../aliyun/edge-functions.js'
import type { Permission } from '../aliyun/ram-policy.js'

export interface EdgeHttpsUse {
  readonly product: EdgeProduct
  /** As the product spells it. */
  readonly domain: string
}

/** The rights that looking at and changing the HTTPS of a CDN or DCDN domain uses. */
export const edgeHttpsPermissions = ({ product, domain }: EdgeHttpsUse): readonly Permission[] => {
  const certificate = edgeActions(product)
  const functions = edgeFunctionActions(product)
  const resources = [`acs:${product}:*:*:domain/${domain}`]
  return [
    {
      actions: [functions.describe, certificate.look],
      resources,
      needed: true,
      why: 'sees whether HTTPS is on, how it is set up, and whether plain HTTP is redirected to it',
    },
    {
      actions: [functions.set, functions.remove],
      resources,
      needed: true,
      why: 'enforces HTTPS, loosens it, and puts back what stood there',
    },
    {
      actions: [certificate.set],
      resources,
      needed: false,
      why: 'switches HTTPS off, and on again with a certificate of the certificate service',
    },
  ]
}
