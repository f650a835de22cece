export { load } from "./device.js";
export { Deployment } from "./deployment.js";
export { Failure } from "./failure.js";
