//! What wizer asks of a live instance: the contents of its memories and globals.

use wasmtime::Store;
use wasmtime::component::{ComponentNamedList, Instance, Lift, WasmList};
use wasmtime_wizer::ComponentInstanceState;

/// Answers through the accessors that wizer put into the component.
pub struct Reader<'a> {
    pub store: &'a mut Store<()>,
    pub instance: Instance,
}

impl Reader<'_> {
    /// The accessors are wizer's own and take nothing: they are there, and they do not trap.
    fn call<R: Lift + 'static>(&mut self, interface: &str, name: &str) -> R
    where
        (R,): ComponentNamedList,
    {
        let interface = self
            .instance
            .get_export_index(&mut *self.store, None, interface)
            .expect("wizer exports the interface it asks for");
        let accessor = self
            .instance
            .get_export_index(&mut *self.store, Some(&interface), name)
            .expect("wizer exports the accessor it asks for");
        self.instance
            .get_typed_func::<(), (R,)>(&mut *self.store, accessor)
            .and_then(|accessor| accessor.call(&mut *self.store, ()))
            .expect("an accessor only reads")
            .0
    }
}

impl ComponentInstanceState for Reader<'_> {
    async fn call_func_ret_list_u8(
        &mut self,
        instance: &str,
        func: &str,
        contents: impl FnOnce(&[u8]) + Send,
    ) {
        let list: WasmList<u8> = self.call(instance, func);
        contents(list.as_le_slice(&*self.store));
    }

    async fn call_func_ret_s32(&mut self, instance: &str, func: &str) -> i32 {
        self.call(instance, func)
    }

    async fn call_func_ret_s64(&mut self, instance: &str, func: &str) -> i64 {
        self.call(instance, func)
    }

    async fn call_func_ret_f32(&mut self, instance: &str, func: &str) -> u32 {
        self.call::<f32>(instance, func).to_bits()
    }

    async fn call_func_ret_f64(&mut self, instance: &str, func: &str) -> u64 {
        self.call::<f64>(instance, func).to_bits()
    }
}
